//! What compose has in its profiles: real processes by the very commands and files. Where the containers have addresses in
//! a network of their own, these have some in 127.0.0.0/8, which all lead to this machine.

use std::hash::BuildHasher as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use yaml_rust2::Yaml;

use super::files::{compose, secrets, service, strings, text};
use super::{Running, shell};

/// Where the containers' addresses begin.
const NETWORK: &str = "10.77.7.";

/// A machine with the secrets, on which services run.
struct Machine {
    directory: TempDir,
    secrets: PathBuf,
    network: String,
}

impl Machine {
    fn new() -> Self {
        let (directory, secrets) = secrets();
        // Tests that run at the same time shall not meet.
        let [a, b, ..] = std::hash::RandomState::new().hash_one(0).to_be_bytes();
        Self { directory, secrets, network: format!("127.{}.{b}.", a.max(1)) }
    }

    /// The directory that stands for a container's root.
    fn root(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn here(&self, text: &str, root: &Path) -> String {
        let root = root.to_str().unwrap();
        let text =
            text.replace("/etc/redis", &format!("{root}/etc")).replace("/data", &format!("{root}/data"));
        text.replace("/run/secrets", self.secrets.to_str().unwrap()).replace(NETWORK, &self.network)
    }

    fn address(&self, name: &str) -> String {
        let service = service(name);
        let address = service["networks"]["replicas"]["ipv4_address"].as_str().unwrap();
        address.replace(NETWORK, &self.network)
    }

    /// Makes a container's files. Here a failure is noticed sooner than there.
    fn unpack(&self, name: &str, address: Option<&str>) {
        let root = self.root(name);
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::create_dir_all(root.join("data")).unwrap();
        for file in
            ["redis.conf", "redis-replicated.conf", "redis-cluster.conf", "sentinel.conf", "start-redis.sh"]
        {
            let mut content = self.here(&text(&format!("deploy/{file}")), &root);
            for setting in ["down-after-milliseconds relatch", "cluster-node-timeout"] {
                content = content.replace(&format!("{setting} 5000\n"), &format!("{setting} 2000\n"));
            }
            if let (Some(address), "redis.conf" | "sentinel.conf") = (address, file) {
                content = format!("{content}bind {address}\nbind-source-addr {address}\n");
            }
            std::fs::write(root.join("etc").join(file), content).unwrap();
        }
    }

    fn command(&self, name: &str) -> Command {
        let words = strings(&service(name)["command"]);
        let words = words.iter().map(|word| self.here(word, &self.root(name)));
        let words: Vec<_> = words.collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.root(name).join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts a service in what it left, if it ran before, and waits until it answers.
    fn start(&self, name: &str) -> Running {
        let address = self.address(name);
        self.unpack(name, Some(&address));
        let running = Running(self.command(name).spawn().unwrap());
        // Sentinels have to find each other first.
        if !name.starts_with("sentinel") {
            until(&format!("{name} answers"), || self.is_healthy(name));
        }
        running
    }

    fn is_healthy(&self, name: &str) -> bool {
        let check = strings(&service(name)["healthcheck"]["test"]);
        assert_eq!(check[0], "CMD-SHELL");
        let cli = format!("redis-cli -h {}", self.address(name));
        let places = [("redis-cli", cli.as_str()), ("/run/secrets", self.secrets.to_str().unwrap())];
        shell(&check[1], &places).status().unwrap().success()
    }

    /// What a service answers.
    fn ask(&self, name: &str, command: &str) -> String {
        let port = if name.starts_with("sentinel") { "26379" } else { "6379" };
        let password = std::fs::read_to_string(self.secrets.join("redis_password")).unwrap();
        let output = Command::new("redis-cli")
            .args(["-h", &self.address(name), "-p", port])
            .args(command.split(' '))
            .env("REDISCLI_AUTH", password.trim())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All that a service waits for, itself included.
fn started_with(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let mut next = 0;
    while next < names.len() {
        let service = service(&names[next]);
        if let Some(before) = service["depends_on"].as_hash() {
            let before = before.keys().map(|name| name.as_str().unwrap().to_owned());
            names.extend(before.filter(|name| !names.contains(name)).collect::<Vec<_>>());
        }
        next += 1;
    }
    names.sort();
    names
}

#[test]
fn each_server_brings_its_own_redis_and_no_other() {
    let mut left: Vec<_> = compose()["services"].as_hash().unwrap().keys().cloned().collect();
    for (server, profile) in [
        ("relatch", None),
        ("relatch-sentinel", Some("sentinel")),
        ("relatch-cluster", Some("cluster")),
        // No server: it looks at the first one.
        ("grafana", Some("monitoring")),
    ] {
        for name in started_with(server) {
            assert_eq!(service(&name)["profiles"][0].as_str(), profile, "{name}");
            left.retain(|other| other.as_str() != Some(&name));
        }
    }
    assert_eq!(left, Vec::<Yaml>::new(), "started by nobody");
    let secrets = |name: &str| strings(&service(name)["secrets"]);
    for server in ["relatch-sentinel", "relatch-cluster"] {
        for value in super::environment(&service(server))
            .values()
            .filter_map(|value| value.strip_prefix("/run/secrets/"))
        {
            assert!(secrets(server).contains(&value.to_owned()), "{server}: {value}");
        }
    }
}

#[test]
fn addresses_are_used_once_and_lie_in_the_network() {
    let compose = compose();
    let subnet = compose["networks"]["replicas"]["ipam"]["config"][0]["subnet"].as_str().unwrap();
    assert_eq!(subnet, format!("{NETWORK}0/24"));
    let services = compose["services"].as_hash().unwrap().values();
    let mut addresses: Vec<Ipv4Addr> = services
        .filter_map(|service| service["networks"]["replicas"]["ipv4_address"].as_str())
        .map(|address| address.parse().unwrap())
        .collect();
    let count = addresses.len();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), count), (12, 12));
    assert!(addresses.iter().all(|address| address.to_string().starts_with(NETWORK)));
    let first = service("redis-1")["networks"]["replicas"]["ipv4_address"].as_str().unwrap().to_owned();
    assert!(text("deploy/sentinel.conf").contains(&format!("sentinel monitor relatch {first} 6379 2\n")));
}

#[test]
fn sentinels_name_a_replica_in_place_of_a_dead_primary() {
    let machine = Machine::new();
    let redis = ["redis-1", "redis-2", "redis-3"];
    let mut running: Vec<_> = redis.map(|name| machine.start(name)).into();
    let sentinels = ["sentinel-1", "sentinel-2", "sentinel-3"];
    let _watching = sentinels.map(|name| machine.start(name));
    for name in sentinels {
        until(&format!("{name} has found the others"), || {
            let replicas = machine.ask(name, "sentinel replicas relatch");
            machine.is_healthy(name) && replicas.matches("master-link-status\nok").count() == 2
        });
    }
    assert_eq!(machine.ask("redis-1", "set key value"), "OK\n");
    assert_eq!(machine.ask("redis-1", "wait 2 5000"), "2\n");

    drop(running.remove(0));
    let named = || {
        let named = machine.ask("sentinel-1", "sentinel get-master-addr-by-name relatch");
        redis.into_iter().find(|name| named.starts_with(&format!("{}\n", machine.address(name)))).unwrap()
    };
    until("another primary is named", || named() != "redis-1");
    let primary = named();
    until("it is written to", || machine.ask(primary, "set key other") == "OK\n");
    assert_eq!(machine.ask(primary, "wait 1 5000"), "1\n");

    // Whoever was the primary comes back and finds no replica of its own.
    let _back = machine.start("redis-1");
    let refused = machine.ask("redis-1", "set key third");
    assert!(["NOREPLICAS", "READONLY"].iter().any(|code| refused.starts_with(code)), "{refused}");

    // The other replica stays one over a restart, although compose starts it as one of the first primary's.
    let (other, at) = if primary == "redis-2" { ("redis-3", 1) } else { ("redis-2", 0) };
    drop(running.remove(at));
    let _again = machine.start(other);
    assert!(machine.ask(other, "role").starts_with(&format!("slave\n{}\n", machine.address(primary))));
}

#[test]
fn a_cluster_is_formed_once_and_a_replica_takes_over() {
    let machine = Machine::new();
    let nodes = ["node-1", "node-2", "node-3", "node-4", "node-5", "node-6"];
    let mut running: Vec<_> = nodes.map(|name| machine.start(name)).into();
    machine.unpack("form-cluster", None);
    assert!(machine.command("form-cluster").status().unwrap().success());
    let state = |name: &str| machine.ask(name, "cluster info").contains("cluster_state:ok");
    assert!(nodes.iter().all(|name| state(name)));
    let before = machine.ask("node-2", "cluster myid");
    // Compose starts it again each time.
    assert!(machine.command("form-cluster").status().unwrap().success());
    assert_eq!(machine.ask("node-2", "cluster myid"), before);

    // In the second node's part of the slots.
    assert_eq!(machine.ask("node-2", "set {c} value"), "OK\n");
    assert_eq!(machine.ask("node-2", "wait 1 5000"), "1\n");
    drop(running.remove(1));
    let successor = || {
        let is_primary = |name: &&str| machine.ask(name, "role").starts_with("master");
        ["node-4", "node-5", "node-6"].into_iter().find(is_primary)
    };
    until("a replica takes over", || successor().is_some());
    assert_eq!(machine.ask(successor().unwrap(), "get {c}"), "value\n");
    until("all slots are there", || state("node-1"));
}
