//! The files for operators: what compose, the image and the systemd unit ask for is there, and the server takes it.

mod files;
mod monitoring;
mod replicated;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use relatch_testkit::On;
use yaml_rust2::Yaml;

use files::{commands, compose, environment, path, secrets, service, strings, text, unit};

/// Runs `relatch config …` on the configuration for production, with this environment and nothing else.
fn config(what: &str, environment: &BTreeMap<String, String>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relatch"))
        .args(["config", what, "--config", path("config/production.toml").to_str().unwrap()])
        .env_clear()
        .envs(environment)
        .output()
        .unwrap()
}

#[track_caller]
fn is_taken(environment: &BTreeMap<String, String>, store: &[&str]) {
    let checked = config("check", environment);
    let said = (String::from_utf8(checked.stdout).unwrap(), String::from_utf8(checked.stderr).unwrap());
    // No warning either.
    assert_eq!(said, ("ok\n".to_owned(), String::new()));
    let shown = String::from_utf8(config("show", environment).stdout).unwrap();
    for line in ["issuer = \"https://login.example.com\"", "log.format = \"json\""].iter().chain(store) {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

const STORE_OF_ONE: [&str; 2] = ["store.url = \"redis://:***@redis:6379\"", "store.sync_replicas = 0"];

#[test]
fn the_server_takes_what_compose_gives_it() {
    let (_directory, secrets) = secrets();
    let taken = |name: &str, store: &[&str]| {
        let service = service(name);
        let mut environment = environment(&service);
        // The file that it names is the one that compose mounts there.
        let config = environment.remove("RELATCH_CONFIG").unwrap();
        assert_eq!(strings(&service["volumes"]), [format!("./config/production.toml:{config}:ro")]);
        for value in environment.values_mut() {
            *value = value.replace("/run/secrets", secrets.to_str().unwrap());
        }
        is_taken(&environment, store);
    };
    let of_several = |url| [url, "store.password = \"***\"", "store.sync_replicas = 1"];
    taken("relatch", &STORE_OF_ONE);
    let sentinels = "store.url = \"redis+sentinel://sentinel-1,sentinel-2,sentinel-3/relatch\"";
    taken("relatch-sentinel", &of_several(sentinels));
    taken("relatch-cluster", &of_several("store.url = \"redis+cluster://node-1,node-2,node-3\""));
}

#[test]
fn the_server_takes_what_the_unit_gives_it() {
    let (_directory, secrets) = secrets();
    let variables = unit("Environment");
    assert_eq!(variables.len(), 3);
    let pairs = variables.iter().map(|pair| pair.split_once('=').unwrap());
    let environment: BTreeMap<_, _> = pairs
        .map(|(name, value)| (name.to_owned(), value.replace("%d", secrets.to_str().unwrap())))
        .collect();
    is_taken(&environment, &STORE_OF_ONE);

    // Each credential is a secret's file where the configuration has it, under the name that the variables use.
    let configuration: toml::Table = text("config/production.toml").parse().unwrap();
    let place = |section: &str, key: &str| configuration[section][key].as_str().unwrap().to_owned();
    let files = [
        ("master_key", configuration["master_key_file"].as_str().unwrap().to_owned()),
        ("store_url", place("store", "url_file")),
        ("admin_password", place("bootstrap", "admin_password_file")),
    ];
    let credentials = files.map(|(name, file)| format!("{name}:{file}"));
    assert_eq!(unit("LoadCredential"), credentials);
    assert!(unit("ExecStart")[0].contains(" --config /etc/relatch/relatch.toml"));
}

#[test]
fn every_secret_and_every_file_that_compose_mounts_is_there_or_made() {
    let (_directory, secrets) = secrets();
    let compose = compose();
    let declared = compose["secrets"].as_hash().unwrap();
    let mut made: Vec<_> = std::fs::read_dir(&secrets)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    made.sort();
    let mut secret_names: Vec<_> = declared.keys().map(|name| name.as_str().unwrap().to_owned()).collect();
    secret_names.sort();
    assert_eq!(secret_names, made);
    for (name, secret) in declared {
        assert_eq!(secret["file"].as_str().unwrap(), format!("./secrets/{}", name.as_str().unwrap()));
    }
    for (service, described) in compose["services"].as_hash().unwrap() {
        for secret in strings(&described["secrets"]) {
            assert!(secret_names.contains(&secret), "{service:?}: {secret}");
        }
        for mount in strings(&described["volumes"]) {
            let source = mount.split(':').next().unwrap();
            let is_volume =
                compose["volumes"].as_hash().unwrap().contains_key(&Yaml::String(source.to_owned()));
            assert!(is_volume || path(source).exists(), "{service:?}: {mount}");
        }
        let hardened = (
            described["read_only"].as_bool(),
            strings(&described["security_opt"]),
            strings(&described["cap_drop"]),
            described["restart"].as_str(),
        );
        let comes_to_an_end = service.as_str() == Some("form-cluster");
        let expected = (
            Some(true),
            vec!["no-new-privileges:true".to_owned()],
            vec!["ALL".to_owned()],
            Some(if comes_to_an_end { "no" } else { "unless-stopped" }),
        );
        assert_eq!(hardened, expected, "{service:?}");
    }
    // Nobody else on the host looks into the folder; the containers' users read the files that they are given.
    assert_eq!(std::fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
    for name in secret_names {
        let permissions = std::fs::metadata(secrets.join(&name)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o644, "{name}");
    }
    assert!(text(".gitignore").lines().any(|line| line == "/secrets"));
    assert!(text(".dockerignore").lines().any(|line| line == "*"), "only what is named goes into an image");
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_repository_from_files_that_it_is_given() {
    let toolchain: toml::Table = text("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    let dockerfile = text("Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{channel}-")));
    assert!(dockerfile.contains(&format!("ENV RUSTUP_TOOLCHAIN={channel}\n")));

    let ignored = text(".dockerignore");
    let given: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let workspace: toml::Table = text("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        for needed in [format!("{member}/Cargo.toml"), format!("{member}/src")] {
            let is_given =
                given.iter().any(|prefix| needed == *prefix || needed.starts_with(&format!("{prefix}/")));
            assert!(is_given, "{needed}");
        }
    }
    for name in given {
        assert!(path(name).exists(), "{name}");
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command of the compose file: `$$` is how it writes `$`.
fn shell(command: &str, places: &[(&str, &str)]) -> Command {
    let command =
        places.iter().fold(command.replace("$$", "$"), |command, (from, to)| command.replace(from, to));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell
}

#[test]
fn redis_starts_as_compose_starts_it_and_is_what_the_documents_ask_for() {
    let (directory, secrets) = secrets();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let socket = directory.path().join("redis.sock");
    // The very file, with the places of this machine; no port, so that nothing is in the way.
    let configuration = text("deploy/redis.conf").replace("/data", data.to_str().unwrap());
    let here = directory.path().join("redis.conf");
    let listen = format!("port 0\nunixsocket {}\n", socket.display());
    std::fs::write(&here, format!("{configuration}{listen}")).unwrap();

    let compose = compose();
    let redis = &compose["services"]["redis"];
    let command = strings(&redis["command"]);
    assert_eq!(command[..2], ["sh", "-c"]);
    let cli = format!("redis-cli -s {}", socket.display());
    let places = [
        ("/etc/redis/redis.conf", here.to_str().unwrap()),
        ("/run/secrets", secrets.to_str().unwrap()),
        ("redis-cli", &cli),
    ];
    let server = Running(shell(&command[2], &places).spawn().unwrap());
    let check = strings(&redis["healthcheck"]["test"]);
    assert_eq!(check[0], "CMD-SHELL");
    let start = Instant::now();
    while !shell(&check[1], &places).status().unwrap().success() {
        assert!(start.elapsed() < Duration::from_secs(20), "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }

    // Redis itself is the process, and gets the signals: a shell before it would leave it to be killed.
    let process = std::fs::read_to_string(format!("/proc/{}/comm", server.0.id())).unwrap();
    assert_eq!(process, "redis-server\n");

    let ask = |login: &str, what: &str| {
        let command = format!("REDISCLI_AUTH={login} {cli} {what}");
        String::from_utf8(Command::new("sh").args(["-c", &command]).output().unwrap().stdout).unwrap()
    };
    assert!(ask("''", "config get save").contains("NOAUTH"));
    let password = std::fs::read_to_string(secrets.join("redis_password")).unwrap();
    for (key, value) in
        [("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")]
    {
        assert_eq!(ask(password.trim(), &format!("config get {key}")), format!("{key}\n{value}\n"));
    }
    let url = std::fs::read_to_string(secrets.join("store_url")).unwrap();
    assert_eq!(url, format!("redis://:{}@redis:6379\n", password.trim()));
}

#[tokio::test]
async fn the_image_knows_whether_the_server_answers() {
    let app = On::embedded().start().await;
    let port = app.node.base().rsplit(':').next().unwrap();
    let dockerfile = text("Dockerfile");
    let line = dockerfile.lines().find_map(|line| line.trim().strip_prefix("CMD [\"bash\"")).unwrap();
    let words: Vec<String> = serde_json::from_str(&format!("[\"bash\"{line}")).unwrap();
    let check = |port: &str| {
        let script = words[2].replace("8080", port);
        Command::new(&words[0]).args([&words[1], &script]).output().unwrap()
    };
    assert!(check(port).status.success(), "{:?}", check(port));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    assert!(!check(&free).status.success());
}

#[test]
fn the_browser_tests_take_their_packages_from_whatever_registry_is_configured() {
    let lock: serde_json::Value = serde_json::from_str(&text("tests/browser/package-lock.json")).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    assert!(packages.len() > 1);
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package["integrity"].is_string() && package.get("resolved").is_none(), "{name}");
    }
}

#[test]
fn the_documents_name_the_files_that_there_are() {
    let page = text("docs/operations.md");
    for file in [
        "docker-compose.yml",
        "Dockerfile",
        "deploy/relatch.service",
        "deploy/redis.conf",
        "config/production.toml",
    ] {
        assert!(page.contains(file), "{file}");
        assert!(path(file).exists(), "{file}");
    }
    assert!(commands("With systemd").contains("systemctl"));
}
