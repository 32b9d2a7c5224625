use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use relatch_domain::budget::Budget;
use relatch_domain::policy::{RotationPolicy, SessionLimits};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::keys::KEYS;
use super::*;
use crate::keys::signing::Algorithm;

/// Base64 of the bytes 0 to 31 and 32 to 63.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A directory with a configuration file `relatch.toml` in it.
struct Files(tempfile::TempDir);

impl Files {
    fn with(toml: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.add("relatch.toml", toml.as_bytes());
        files
    }

    fn add(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(content).unwrap();
        path
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // Messages name the path as it was given; tests want it short.
        let here = format!("{}/", self.0.path().display());
        load(Some(&self.0.path().join("relatch.toml")), variables)
            .map_err(|error| error.to_string().replace(&here, ""))
    }
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Loaded, String> {
    Files::with("").load(variables)
}

/// What the file and the environment hold, and the one message.
type Mistake<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

fn assert_messages(table: &[Mistake<'_>]) {
    for (toml, variables, message) in table {
        let error = Files::with(toml).load(variables).map(|_| ()).expect_err(message);
        assert_eq!(error, *message, "for {toml:?} {variables:?}");
    }
}

/// Of budgets.
fn of_limits() -> serde_json::Value {
    json!({
        "rate_limit.session_refresh_interval": "1s",
        "rate_limit.session_refresh_burst": 600,
        "rate_limit.account_failures": 10,
        "rate_limit.account_failure_interval": "15m",
        "rate_limit.address_failures": 30,
        "rate_limit.address_failure_interval": "1m",
        "rate_limit.strangers_failures": 500,
        "rate_limit.strangers_failure_interval": "1s",
        "rate_limit.longest_wait": "15m",
        "rate_limit.sign_ins": 100,
        "rate_limit.sign_in_interval": "6s",
        "rate_limit.registrations": 30,
        "rate_limit.registration_interval": "20s",
        "rate_limit.address_requests": 2000,
        "rate_limit.address_request_interval": "10ms",
    })
}

fn of_its_surroundings() -> serde_json::Value {
    json!({ "admin.socket": "data/relatch.sock", "log.format": "auto", "log.level": "info", "log.linger": "10ms" })
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let shown = show_json(&load(None, []).unwrap());
    let of_the_server_and_its_store = json!({
        "issuer": "http://localhost:8080",
        "master_key": null,
        "master_keys_previous": [],
        "http.listen": "localhost:8080",
        "http.allowed_origins": [],
        "http.trusted_proxies": [],
        "http.max_connections_per_address": 1024,
        "http.stop_delay": "0s",
        "http.tls.certificate_file": null,
        "http.tls.key_file": null,
        "ops.listen": "127.0.0.1:9090",
        "ops.allowed_hosts": [],
        "store.url": "redb:data/relatch.redb",
        "store.username": null,
        "store.password": null,
        "store.sentinel_username": null,
        "store.sentinel_password": null,
        "store.key_prefix": "relatch",
        "store.sync_replicas": 0,
        "store.connect_timeout": "1s",
        "store.response_timeout": "500ms",
        "store.ca_file": null,
        "store.client_certificate_file": null,
        "store.client_key_file": null,
    });
    let of_what_it_does = json!({
        "access_token.ttl": "15m",
        "access_token.algorithm": "ES256",
        "access_token.audience": ["http://localhost:8080"],
        "access_token.claims": [],
        "access_token.sliding": "off",
        "access_token.rotate_key_after": "90d",
        "refresh_token.idle_ttl": "14d",
        "refresh_token.absolute_ttl": "90d",
        "refresh_token.grace": "10s",
        "refresh_token.require_access_token": true,
        "refresh_token.heal.slack": "2m",
        "refresh_token.heal.max_ahead": 1024,
        "sessions.max_per_user": 50,
        "password.bcrypt_cost": 12,
        "password.hash_threads": null,
        "password.max_wait": "10s",
        "password.min_length": 8,
        "password.reset_ttl": "1h",
        "password.reauthentication_age": "30m",
        "registration.enabled": false,
        "bootstrap.admin_username": "admin",
        "bootstrap.admin_password": null,
        "rate_limit.enabled": true,
        "audit.max_records": 100_000,
    });
    let reference = [of_the_server_and_its_store, of_what_it_does, of_limits(), of_its_surroundings()];
    let reference: Vec<_> = reference.iter().flat_map(|part| part.as_object().unwrap()).collect();
    assert_eq!(shown.as_object().unwrap().len(), reference.len());
    for (key, value) in reference {
        assert_eq!(shown[key], json!({ "value": value, "origin": "built-in default" }), "{key}");
    }
}

#[test]
fn the_defaults_agree_with_those_of_the_rules() {
    let settings = load(None, []).unwrap().settings;
    assert_eq!(settings.session_limits(), SessionLimits::default());
    let budget = Budget::new(Duration::from_secs(1), 600).unwrap();
    assert_eq!(settings.rotation_policy(), RotationPolicy { budget, ..RotationPolicy::default() });

    let unlimited = from_environment(&[("RELATCH__RATE_LIMIT__ENABLED", "false")]).unwrap().settings;
    assert_eq!(unlimited.rotation_policy(), RotationPolicy::default());
}

#[test]
fn every_key_is_in_the_documented_defaults() {
    let text = include_str!("../../config/default.toml");
    // A key without a default stands there as a comment.
    let is_key = |line: &str| {
        line.split_once(" = ")
            .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        .collect();
    let table: toml::Table = uncommented.join("\n").parse().unwrap();

    let mut documented = BTreeSet::new();
    let mut sections = vec![(String::new(), &table)];
    while let Some((section, table)) = sections.pop() {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => sections.push((format!("{section}{key}."), inner)),
                _ => assert!(documented.insert(format!("{section}{key}"))),
            }
        }
    }
    assert_eq!(documented, KEYS.iter().map(|key| key.name.to_owned()).collect());
}

#[test]
fn every_key_is_read_from_the_file_and_from_the_environment() {
    for key in KEYS {
        // No key takes a date, and none this text, were it not for those that take any text.
        let error = Files::with(&format!("{} = 1979-05-27", key.name)).load(&[]).map(|_| ()).unwrap_err();
        assert!(error.starts_with(&format!("{} (relatch.toml, line 1): ", key.name)), "{error}");

        let variable = keys::variable(key.name);
        let loaded = from_environment(&[(&variable, "")]);
        let origin = format!("environment variable {variable}");
        match loaded {
            Err(error) => assert!(error.starts_with(&format!("{} ({origin}): ", key.name)), "{error}"),
            // An empty list is a list.
            Ok(loaded) => assert_eq!(show_json(&loaded)[key.name], json!({ "value": [], "origin": origin })),
        }
    }
}

#[test]
fn later_layers_win_key_by_key() {
    let files = Files::with("[access_token]\nttl = \"5m\"\nalgorithm = \"EdDSA\"\n");
    let loaded = files.load(&[("RELATCH__ACCESS_TOKEN__TTL", "2m"), ("PATH", "/bin")]).unwrap();
    assert_eq!(loaded.settings.access_token.ttl, Duration::from_mins(2));
    assert_eq!(loaded.settings.access_token.algorithm, Algorithm::EdDSA);
    let shown = show(&loaded);
    for (key, value, origin) in [
        ("access_token.ttl", "\"2m\"", "environment variable RELATCH__ACCESS_TOKEN__TTL"),
        ("access_token.sliding", "\"off\"", "built-in default"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(key)).unwrap();
        assert_eq!(line.split_once("   # ").unwrap().1, origin);
        assert!(line.starts_with(&format!("{key} = {value} ")), "{line}");
    }
    assert!(shown.lines().any(|line| line.ends_with("relatch.toml, line 3")));
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let files = Files::with(
        "issuer = \"https://a.example\"\nhttp.allowed_origins = [\"https://b.example\"]\nstore.sync_replicas = 0\n",
    );
    let shown = show(&files.load(&[]).unwrap());
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.rsplit_once("   # ").unwrap().0.trim_end().to_owned()).collect()
    };
    assert_eq!(values(&show(&Files::with(&shown).load(&[]).unwrap())), values(&shown));
}

#[test]
fn lists_in_the_environment_are_separated_by_commas() {
    let loaded = from_environment(&[
        ("RELATCH__HTTP__ALLOWED_ORIGINS", "https://a.example, https://b.example:8443"),
        ("RELATCH__HTTP__TRUSTED_PROXIES", "10.0.0.0/8,::1"),
        ("RELATCH__ACCESS_TOKEN__AUDIENCE", "api"),
    ]);
    let settings = loaded.unwrap().settings;
    let origins: Vec<_> = settings.http.allowed_origins.iter().map(WebOrigin::as_str).collect();
    assert_eq!(origins, ["https://a.example", "https://b.example:8443"]);
    assert_eq!(settings.http.trusted_proxies.len(), 2);
    assert_eq!(settings.access_token.audience, ["api"]);
}

#[test]
fn a_password_of_digits_stays_as_it_is() {
    let loaded = from_environment(&[("RELATCH__BOOTSTRAP__ADMIN_PASSWORD", "00123456e5")]).unwrap();
    assert_eq!(loaded.settings.bootstrap.admin_password.unwrap().as_bytes(), b"00123456e5");
}

#[test]
fn a_secret_can_be_kept_in_a_file_of_its_own() {
    let files = Files::with("");
    let path = |name: &str, content: &str| files.add(name, content.as_bytes()).display().to_string();
    let (key, url) = (path("key", &format!("{KEY}\n")), path("url", "redis://:hunter2@localhost\r\n"));
    let (previous, password) =
        (path("previous", &format!("{OTHER_KEY}\n")), path("password", " two words \n"));
    files.add("relatch.toml", format!("master_key_file = {key:?}\nmaster_key = {OTHER_KEY:?}").as_bytes());
    let error = files.load(&[]).unwrap_err();
    assert!(error.contains("is given twice in one layer"), "{error}");

    files.add("relatch.toml", format!("master_key_file = {key:?}\nstore.url_file = \"no/such\"").as_bytes());
    let loaded = files.load(&[
        // A later layer wins, whether by value or by file; the file that lost is not even read.
        ("RELATCH__STORE__URL_FILE", &url),
        ("RELATCH__MASTER_KEYS_PREVIOUS_FILE", &previous),
        ("RELATCH__BOOTSTRAP__ADMIN_PASSWORD_FILE", &password),
    ]);
    let loaded = loaded.unwrap();
    assert_eq!(loaded.settings.master_key.as_ref().unwrap().expose_secret(), KEY);
    assert_eq!(loaded.settings.master_keys_previous[0].expose_secret(), OTHER_KEY);
    assert_eq!(loaded.settings.bootstrap.admin_password.as_ref().unwrap().as_bytes(), b" two words ");
    assert!(
        matches!(&loaded.settings.store.url, StoreUrl::Redis(url) if url.expose() == "redis://:hunter2@localhost")
    );
    assert_eq!(
        show_json(&loaded)["store.url"],
        json!({
            "value": "redis://:***@localhost",
            "origin": format!("{url}, named by environment variable RELATCH__STORE__URL_FILE"),
        })
    );
}

#[test]
fn a_secret_and_the_path_of_its_file_replace_each_other() {
    let files = Files::with("");
    let path = files.add("key", KEY.as_bytes()).display().to_string();
    files.add("relatch.toml", b"master_key_file = \"no/such\"");
    let by_value = files.load(&[("RELATCH__MASTER_KEY", KEY)]).unwrap();
    assert_eq!(by_value.settings.master_key.as_ref().unwrap().expose_secret(), KEY);
    assert_eq!(show_json(&by_value)["master_key"]["origin"], "environment variable RELATCH__MASTER_KEY");

    files.add("relatch.toml", format!("master_key = {OTHER_KEY:?}").as_bytes());
    let by_file = files.load(&[("RELATCH__MASTER_KEY_FILE", &path)]).unwrap();
    assert_eq!(by_file.settings.master_key.as_ref().unwrap().expose_secret(), KEY);
    let origin = format!("{path}, named by environment variable RELATCH__MASTER_KEY_FILE");
    assert_eq!(show_json(&by_file)["master_key"]["origin"], origin);
}

#[test]
fn a_secret_shows_nowhere() {
    let layer =
        environment::read([("RELATCH__BOOTSTRAP__ADMIN_PASSWORD".to_owned(), "hunter2".to_owned())]).unwrap();
    assert_eq!(format!("{layer:?}"), "{\"bootstrap.admin_password\"}");

    let files = Files::with("");
    let loaded = files.load(&[
        ("RELATCH__MASTER_KEY", KEY),
        ("RELATCH__MASTER_KEYS_PREVIOUS", OTHER_KEY),
        ("RELATCH__BOOTSTRAP__ADMIN_PASSWORD", "hunter2hunter2"),
        ("RELATCH__STORE__URL", "redis://u:hunter2@localhost"),
    ]);
    let loaded = loaded.unwrap();
    for text in [format!("{loaded:?}"), show(&loaded), show_json(&loaded).to_string()] {
        for secret in [KEY, OTHER_KEY, "hunter2"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    for (toml, variables) in [
        ("master_key = \"hunter2", &[][..]),
        ("master_key = \"hunter2\"", &[]),
        ("master_keys_previous = [\"hunter2\"]", &[]),
        ("bootstrap.admin_password = \"hunter2\"", &[]),
        ("bootstrap.admin_password = [\"hunter2\"]", &[]),
        ("store.url = \"redis://u:hunter2@h:99999\"", &[]),
        ("", &[("RELATCH__STORE__URL", "hunter2")]),
        ("", &[("RELATCH__MASTER_KEYS_PREVIOUS", "hunter2,x")]),
        ("master_key = \"a\\qhunter2\"", &[]),
        ("bootstrap.admin_password = hunter2", &[]),
    ] {
        let error = Files::with(toml).load(variables).map(|_| ()).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn unwise_settings_are_warned_of_and_accepted() {
    let loaded = from_environment(&[
        ("RELATCH__PASSWORD__BCRYPT_COST", "9"),
        ("RELATCH__PASSWORD__MIN_LENGTH", "7"),
        ("RELATCH__BOOTSTRAP__ADMIN_PASSWORD", "Admin-2024"),
        ("RELATCH__HTTP__TRUSTED_PROXIES", "::/0"),
        ("RELATCH__HTTP__ALLOWED_ORIGINS", "http://localhost:3000,http://app.example"),
        ("RELATCH_ISSUER", "https://a.example"),
        ("RELATCH_SERVICE_PORT", "8080"),
        ("RELATCH_CONFIG", "relatch.toml"),
    ]);
    let subjects: Vec<_> = loaded
        .unwrap()
        .warnings
        .iter()
        .map(|text| text.split_once(['(', ';']).unwrap().0.trim_end().to_owned())
        .collect();
    assert_eq!(
        subjects,
        [
            "password.bcrypt_cost",
            "password.min_length",
            "bootstrap.admin_password",
            "http.trusted_proxies",
            "http.allowed_origins",
            "environment variable RELATCH_ISSUER has no effect",
        ]
    );
    let good = from_environment(&[("RELATCH__PASSWORD__MIN_LENGTH", "15")]).unwrap();
    assert_eq!(good.warnings, Vec::<String>::new());
}

proptest! {
    #[test]
    fn no_file_and_no_environment_makes_it_panic(
        toml in "(([a-z_.]{1,12}|issuer|store\\.url|http|\\[http\\]|master_key) ?=? ?[\\[\\]{}\",0-9a-z: .]{0,12}\n){0,4}",
        index in 0..KEYS.len(),
        value in ".{0,24}",
    ) {
        let variable = keys::variable(KEYS[index].name);
        let _ = Files::with(&toml).load(&[]);
        let _ = from_environment(&[(&variable, &value)]);
    }
}

#[path = "mistakes.rs"]
mod mistakes;
#[path = "store_tests.rs"]
mod store_tests;
