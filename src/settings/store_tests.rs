//! What is set about the store: what holds without a value, what contradicts what, and what is shown.

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{Files, KEY, Loaded, assert_messages, show, show_json};

/// Where Redis is, and what else is set.
fn on(url: &str, toml: &str) -> Loaded {
    Files::with(&format!("master_key = {KEY:?}\nstore.url = {url:?}\n{toml}")).load(&[]).unwrap()
}

#[test]
fn replicas_are_asked_where_one_of_them_takes_over() {
    let default = "built-in default";
    let here = |line: &str| line.ends_with("relatch.toml, line 3");
    for (url, value) in [
        ("redis://h", 0),
        ("redis+sentinel://h/main", 1),
        ("rediss+sentinel://h/main", 1),
        ("redis+cluster://h", 1),
        ("rediss+cluster://h", 1),
    ] {
        let loaded = on(url, "");
        assert_eq!(loaded.settings.store.sync_replicas, value, "{url}");
        assert_eq!(show_json(&loaded)["store.sync_replicas"], json!({ "value": value, "origin": default }));
        assert_eq!(loaded.warnings, Vec::<String>::new());

        let two = on(url, "store.sync_replicas = 2");
        assert_eq!(two.settings.store.sync_replicas, 2);
        assert!(here(show_json(&two)["store.sync_replicas"]["origin"].as_str().unwrap()));

        let none = on(url, "store.sync_replicas = 0");
        assert_eq!(none.settings.store.sync_replicas, 0);
        let warned = none.warnings.iter().filter(|text| {
            text.starts_with("store.sync_replicas (")
                && text.ends_with(
                    "relatch.toml, line 3): a failover may bring revoked sessions back and lose the latest \
                     sign-ins; write 1, or leave the key out",
                )
        });
        assert_eq!((none.warnings.len(), warned.count()), (value.into(), value.into()), "{url}");
    }
}

#[test]
fn logins_and_certificates_are_read_and_not_shown() {
    let files = Files::with("");
    let password = files.add("password", b"hunter2\n").display().to_string();
    let toml = format!(
        "master_key = {KEY:?}
         [store]
         url = \"rediss+sentinel://s1,s2/main\"
         username = \"relatch\"
         password_file = {password:?}
         sentinel_password = \"hunter3\"
         client_certificate_file = \"c.pem\"
         client_key_file = \"k.pem\""
    );
    files.add("relatch.toml", toml.as_bytes());
    let loaded = files.load(&[]).unwrap();
    let store = &loaded.settings.store;
    let secret =
        |password: &Option<secrecy::SecretString>| password.as_ref().unwrap().expose_secret().to_owned();
    assert_eq!(store.login.username.as_deref(), Some("relatch"));
    assert_eq!(secret(&store.login.password), "hunter2");
    assert_eq!(store.sentinel_login.username, None);
    assert_eq!(secret(&store.sentinel_login.password), "hunter3");
    let certificate = store.client_certificate.as_ref().unwrap();
    assert_eq!(certificate.certificate_file.as_os_str(), "c.pem");
    assert_eq!(certificate.key_file.as_os_str(), "k.pem");
    let shown = show_json(&loaded);
    for (key, value) in [
        ("store.username", json!("relatch")),
        ("store.password", json!("***")),
        ("store.sentinel_username", json!(null)),
        ("store.sentinel_password", json!("***")),
        ("store.client_certificate_file", json!("c.pem")),
        ("store.client_key_file", json!("k.pem")),
    ] {
        assert_eq!(shown[key]["value"], value, "{key}");
    }
    for text in [format!("{loaded:?}"), show(&loaded), shown.to_string()] {
        assert!(!text.contains("hunter2") && !text.contains("hunter3"), "{text}");
    }
}

#[test]
fn urls_of_the_wrong_form_are_named_with_what_would_be_right() {
    assert_messages(&[
        (
            "store.url = \"mysql://x:hunter2@h\"",
            &[],
            "store.url (relatch.toml, line 1): the value is not the URL of a store; write \"redb:PATH\", \"redis://HOST:PORT/DB\", \"redis+unix:///PATH\", \"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE\" or \"redis+cluster://HOST:PORT,HOST:PORT\"; with TLS they begin with \"rediss\"",
        ),
        (
            "",
            &[("RELATCH__STORE__URL", "redis+sentinel://:hunter2@h:1,g:2")],
            "store.url (environment variable RELATCH__STORE__URL): the value is not the URL of Sentinels: it names no service; write the name by which they know the primary after the hosts: \"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE\"",
        ),
        (
            "store.url = \"redis+sentinel://:hunter2@h:x/main\"",
            &[],
            "store.url (relatch.toml, line 1): the value is not the URL of Sentinels; write \"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE\", at most a database number after it, and at most one login before the first host, with %40 for @ and %2F for / in it",
        ),
        (
            "store.url = \"redis+cluster://:hunter2@h/0\"",
            &[],
            "store.url (relatch.toml, line 1): the value is not the URL of a Cluster; write \"redis+cluster://HOST:PORT,HOST:PORT\" and at most one login before the first host, with %40 for @ and %2F for / in it; a Cluster has no database numbers",
        ),
        (
            "store.key_prefix = \"{a}\"",
            &[],
            "store.key_prefix (relatch.toml, line 1): \"{a}\" is not a prefix of keys; write 1 to 32 letters, digits and - _ . :",
        ),
    ]);
}

#[test]
fn what_the_store_has_no_use_for_is_refused() {
    assert_messages(&[
        (
            "store.sync_replicas = 1",
            &[],
            "store.sync_replicas (relatch.toml, line 1): the embedded store has no replicas (store.url, built-in default); write 0, or leave the key out",
        ),
        (
            "store.ca_file = \"ca.pem\"",
            &[],
            "store.ca_file (relatch.toml, line 1): the store is not reached by TLS (store.url, built-in default); write a URL that begins with \"rediss\", or leave the key out",
        ),
        (
            "store.client_certificate_file = \"c\"\nstore.client_key_file = \"k\"",
            &[("RELATCH__STORE__URL", "redis+cluster://h")],
            "store.client_certificate_file (relatch.toml, line 1): the store is not reached by TLS (store.url, environment variable RELATCH__STORE__URL); write a URL that begins with \"rediss\", or leave the key out",
        ),
        (
            "store.client_certificate_file = \"c\"",
            &[],
            "store.client_certificate_file (relatch.toml, line 1): has no key; set store.client_key_file too",
        ),
        (
            "",
            &[("RELATCH__STORE__CLIENT_KEY_FILE", "k")],
            "store.client_key_file (environment variable RELATCH__STORE__CLIENT_KEY_FILE): has no certificate; set store.client_certificate_file too",
        ),
    ]);
}

#[test]
fn logins_that_contradict_the_url_are_refused() {
    assert_messages(&[
        (
            "store.password = \"hunter2\"",
            &[],
            "store.password (relatch.toml, line 1): the embedded store asks nobody for a login (store.url, built-in default); leave the key out",
        ),
        (
            "store.sentinel_password = \"hunter2\"",
            &[],
            "store.sentinel_password (relatch.toml, line 1): the store is not reached by way of Sentinels (store.url, built-in default); write a \"redis+sentinel://\" URL, or leave the key out",
        ),
        (
            "store.sentinel_username = \"a\"\nstore.sentinel_password = \"hunter2\"\nstore.url = \"redis+cluster://h\"",
            &[],
            "store.sentinel_username (relatch.toml, line 1): the store is not reached by way of Sentinels (store.url, relatch.toml, line 3); write a \"redis+sentinel://\" URL, or leave the key out",
        ),
        (
            "store.url = \"redis://:hunter2@h\"",
            &[("RELATCH__STORE__USERNAME", "relatch"), ("RELATCH__STORE__PASSWORD", "hunter3")],
            "store.username (environment variable RELATCH__STORE__USERNAME): there is a login in the URL as well (store.url, relatch.toml, line 1); leave one of the two out",
        ),
        (
            "store.url = \"redis+sentinel://ada@h/main\"\nstore.password = \"hunter2\"",
            &[],
            "store.password (relatch.toml, line 2): there is a login in the URL as well (store.url, relatch.toml, line 1); leave one of the two out",
        ),
        (
            "store.url = \"redis+unix:///x?pass=hunter2\"\nstore.password = \"hunter2\"",
            &[],
            "store.password (relatch.toml, line 2): there is a login in the URL as well (store.url, relatch.toml, line 1); leave one of the two out",
        ),
        (
            "store.url = \"redis://h\"\nstore.username = \"relatch\"",
            &[],
            "store.username (relatch.toml, line 2): has no password; set store.password too",
        ),
        (
            "store.url = \"redis+sentinel://h/s\"\nstore.sentinel_username = \"relatch\"",
            &[],
            "store.sentinel_username (relatch.toml, line 2): has no password; set store.sentinel_password too",
        ),
    ]);
}
