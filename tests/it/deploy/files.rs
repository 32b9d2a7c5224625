//! The files as they are read here: no more of YAML and of systemd's syntax than ours use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use yaml_rust2::{Yaml, YamlLoader};

/// A path in the repository.
pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(super) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

pub(super) fn compose() -> Yaml {
    merged(&YamlLoader::load_from_str(&text("docker-compose.yml")).unwrap()[0])
}

/// With what `<<` names put in its place. What stands beside it wins.
fn merged(yaml: &Yaml) -> Yaml {
    let Some(pairs) = yaml.as_hash() else { return yaml.clone() };
    let name = Yaml::String("<<".to_owned());
    let mut all = pairs.get(&name).map(merged).and_then(Yaml::into_hash).unwrap_or_default();
    for (key, value) in pairs.iter().filter(|(key, _)| **key != name) {
        all.insert(key.clone(), merged(value));
    }
    Yaml::Hash(all)
}

/// A service of the compose file.
pub(super) fn service(name: &str) -> Yaml {
    compose()["services"][name].clone()
}

/// The strings of a list.
pub(super) fn strings(list: &Yaml) -> Vec<String> {
    list.as_vec().unwrap().iter().map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

/// The environment that compose gives a service.
pub(super) fn environment(service: &Yaml) -> BTreeMap<String, String> {
    let pairs = service["environment"].as_hash().unwrap();
    pairs.iter().map(|(key, value)| (key.as_str().unwrap().into(), value.as_str().unwrap().into())).collect()
}

/// The values of a key of the systemd unit, in their order.
pub(super) fn unit(key: &str) -> Vec<String> {
    let lines = text("deploy/relatch.service");
    let values = lines.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
    values.map(|(_, value)| value.to_owned()).collect()
}

/// The commands of the console block below a heading of the operators' page.
pub(super) fn commands(heading: &str) -> String {
    let page = text("docs/operations.md");
    let section = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().filter_map(|line| line.strip_prefix("$ ").or_else(|| line.strip_prefix("> ")));
    lines.collect::<Vec<_>>().join("\n")
}

/// The secrets as the operators' page makes them, in a directory of their own.
pub(super) fn secrets() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("bash")
        .args(["-euc", &commands("Secrets")])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let secrets = directory.path().join("secrets");
    (directory, secrets)
}
