//! Every kind of mistake with its one message.

use super::{Files, KEY, OTHER_KEY, assert_messages};

#[test]
fn an_unknown_key_is_named_with_its_nearest_neighbour() {
    assert_messages(&[
        (
            "[htpp]\nlisten = \"x\"",
            &[],
            "htpp.listen (relatch.toml, line 2): there is no such key; did you mean http.listen?",
        ),
        (
            "# …\nttl = \"15m\"",
            &[],
            "ttl (relatch.toml, line 2): there is no such key; did you mean access_token.ttl?",
        ),
        (
            "[frobnicate]",
            &[],
            "frobnicate (relatch.toml, line 1): there is no such key; the sections are http, ops, store, access_token, refresh_token, sessions, password, registration, bootstrap, rate_limit, audit, admin, log",
        ),
        (
            "store = \"redb:x\"",
            &[],
            "store (relatch.toml, line 1): is a section, not a key; put the keys of the section into it",
        ),
        (
            "[issuer]\nurl = \"x\"",
            &[],
            "issuer.url (relatch.toml, line 2): issuer is a key, not a section; give it one value",
        ),
        (
            "http.tls.key_fil = \"x\"",
            &[],
            "http.tls.key_fil (relatch.toml, line 1): there is no such key; did you mean http.tls.key_file?",
        ),
        (
            "",
            &[("RELATCH__REFRESH_TOKEN__IDLE_TLL", "1d")],
            "environment variable RELATCH__REFRESH_TOKEN__IDLE_TLL: there is no such key; did you mean RELATCH__REFRESH_TOKEN__IDLE_TTL?",
        ),
        (
            "",
            &[("RELATCH__issuer", "x")],
            "environment variable RELATCH__issuer: there is no such key; did you mean RELATCH__ISSUER?",
        ),
        (
            "",
            &[("RELATCH__HTTP_LISTEN", "x")],
            "environment variable RELATCH__HTTP_LISTEN: there is no such key; did you mean RELATCH__HTTP__LISTEN?",
        ),
        (
            "",
            &[("RELATCH__", "x")],
            "environment variable RELATCH__: there is no such key; the sections are http, ops, store, access_token, refresh_token, sessions, password, registration, bootstrap, rate_limit, audit, admin, log",
        ),
    ]);
}

#[test]
fn addresses_of_the_wrong_form_are_named_with_what_would_be_right() {
    assert_messages(&[
        ("issuer = 8080", &[], "issuer (relatch.toml, line 1): 8080 is not a text; write it in quotes"),
        (
            "",
            &[("RELATCH__ISSUER", "")],
            "issuer (environment variable RELATCH__ISSUER): \"\" is not a text of at least one character; write one, or leave the key out",
        ),
        (
            "\nissuer = \"http://a.example\"",
            &[],
            "issuer (relatch.toml, line 2): \"http://a.example\" is not an issuer that clients can trust; write an https URL such as \"https://login.example.com\"; http is for loopback hosts",
        ),
        (
            "issuer = \"https://a.example/\"",
            &[],
            "issuer (relatch.toml, line 1): \"https://a.example/\" is not in the form that clients compare with; write \"https://a.example\"",
        ),
        (
            "http.listen = \"example.com:80\"",
            &[],
            "http.listen (relatch.toml, line 1): \"example.com:80\" is not an address with a port; write \"localhost:8080\", or an IP address and a port such as \"0.0.0.0:8080\" or \"[::]:8080\"",
        ),
        (
            "http.allowed_origins = \"https://a.example\"",
            &[],
            "http.allowed_origins (relatch.toml, line 1): \"https://a.example\" is not a list; write it as [\"…\", \"…\"], in the environment with commas",
        ),
        (
            "http.allowed_origins = [\"https://a.example\", 1]",
            &[],
            "http.allowed_origins (relatch.toml, line 1): the value is not a list of texts; write each entry in quotes",
        ),
        (
            "",
            &[("RELATCH__HTTP__ALLOWED_ORIGINS", "https://a.example,https://b.example/")],
            "http.allowed_origins (environment variable RELATCH__HTTP__ALLOWED_ORIGINS): \"https://b.example/\" is not an exact origin; write \"https://b.example\"",
        ),
        (
            "",
            &[("RELATCH__HTTP__ALLOWED_ORIGINS", "*")],
            "http.allowed_origins (environment variable RELATCH__HTTP__ALLOWED_ORIGINS): \"*\" is not the origin of a web page; write scheme, host and port if it is not the usual one, such as \"https://app.example.com\"; no path, no \"*\", no \"null\"",
        ),
        (
            "http.trusted_proxies = [\"10.1.2.3/8\"]",
            &[],
            "http.trusted_proxies (relatch.toml, line 1): \"10.1.2.3/8\" is not a network: it has bits beyond its prefix; write \"10.0.0.0/8\"",
        ),
    ]);
}

#[test]
fn claims_that_attributes_cannot_fill_are_named() {
    assert_messages(&[
        (
            "[access_token]\nclaims = [\"plan\", \"sub=customer\"]",
            &[],
            "access_token.claims (relatch.toml, line 2): \"sub=customer\" is not a claim that attributes can fill: it has a meaning of its own; take another name for the claim, such as \"my_name=attribute\"",
        ),
        (
            "",
            &[("RELATCH__ACCESS_TOKEN__CLAIMS", "plan, a b")],
            "access_token.claims (environment variable RELATCH__ACCESS_TOKEN__CLAIMS): \"a b\" is not a claim that attributes can fill; write \"claim\" or \"claim=attribute\", each of 1 to 64 letters, digits and _ - . :",
        ),
        (
            "",
            &[("RELATCH__ACCESS_TOKEN__CLAIMS", "plan,tier=plan")],
            "access_token.claims (environment variable RELATCH__ACCESS_TOKEN__CLAIMS): each claim and each attribute at most once; name fewer, shorter or other claims",
        ),
    ]);
}

#[test]
fn tokens_of_the_wrong_form_are_named_with_what_would_be_right() {
    assert_messages(&[
        (
            "access_token.ttl = 900",
            &[],
            "access_token.ttl (relatch.toml, line 1): 900 is not a text; write it in quotes",
        ),
        (
            "access_token.ttl = \"900\"",
            &[],
            "access_token.ttl (relatch.toml, line 1): \"900\" is not a duration of at most ten years; write a whole number and a unit (ms, s, m, h or d), such as \"250ms\", \"15m\" or \"14d\"",
        ),
        (
            "access_token.ttl = \"0s\"",
            &[],
            "access_token.ttl (relatch.toml, line 1): \"0s\" is not one or more whole seconds; write a lifetime such as \"90s\", \"15m\" or \"14d\"",
        ),
        (
            "access_token.algorithm = \"none\"",
            &[],
            "access_token.algorithm (relatch.toml, line 1): \"none\" is not one of the words that it can be; write one of \"EdDSA\", \"ES256\", \"RS256\", \"HS256\"",
        ),
        (
            "access_token.audience = []",
            &[],
            "access_token.audience (relatch.toml, line 1): is empty; name who the tokens are for, or leave the key out, which means the issuer",
        ),
        (
            "access_token.sliding = true",
            &[],
            "access_token.sliding (relatch.toml, line 1): true is not a text; write it in quotes",
        ),
    ]);
}

#[test]
fn accounts_of_the_wrong_form_are_named_with_what_would_be_right() {
    assert_messages(&[
        (
            "refresh_token.require_access_token = \"yes\"",
            &[],
            "refresh_token.require_access_token (relatch.toml, line 1): \"yes\" is not true or false; write true or false, without quotes",
        ),
        (
            "",
            &[("RELATCH__REGISTRATION__ENABLED", "1")],
            "registration.enabled (environment variable RELATCH__REGISTRATION__ENABLED): \"1\" is not true or false; write true or false, without quotes",
        ),
        (
            "password.bcrypt_cost = 17",
            &[],
            "password.bcrypt_cost (relatch.toml, line 1): 17 is not a whole number from 4 to 16; write one, without quotes",
        ),
        (
            "password.bcrypt_cost = \"12\"",
            &[],
            "password.bcrypt_cost (relatch.toml, line 1): \"12\" is not a whole number from 4 to 16; write one, without quotes",
        ),
        (
            "password.bcrypt_cost = 12.0",
            &[],
            "password.bcrypt_cost (relatch.toml, line 1): the value is not a whole number from 4 to 16; write one, without quotes",
        ),
        (
            "",
            &[("RELATCH__SESSIONS__MAX_PER_USER", "0")],
            "sessions.max_per_user (environment variable RELATCH__SESSIONS__MAX_PER_USER): \"0\" is not a whole number from 1 to 1000; write one, without quotes",
        ),
        (
            "bootstrap.admin_username = \"a b\"",
            &[],
            "bootstrap.admin_username (relatch.toml, line 1): \"a b\" is not a user name; write 1 to 128 letters, digits or symbols, no spaces",
        ),
        (
            "log.level = \"loud\"",
            &[],
            "log.level (relatch.toml, line 1): \"loud\" is not one of the words that it can be; write one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        ),
        (
            "master_key = \"c2hvcnQ=\"",
            &[],
            "master_key (relatch.toml, line 1): the value is not 32 bytes in Base64; write 32 random bytes in Base64; `relatch key generate` makes them",
        ),
        (
            "master_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
            &[],
            "master_key (relatch.toml, line 1): the value is not random: it is one byte over and over; write 32 random bytes in Base64; `relatch key generate` makes them",
        ),
    ]);
}

#[test]
fn lifetimes_that_contradict_each_other_are_refused() {
    assert_messages(&[
        (
            "refresh_token.idle_ttl = \"91d\"",
            &[],
            "refresh_token.idle_ttl (relatch.toml, line 1): 91d is longer than refresh_token.absolute_ttl, 90d (built-in default); write a shorter duration here or a longer one there",
        ),
        (
            "refresh_token.absolute_ttl = \"1h\"",
            &[("RELATCH__REFRESH_TOKEN__IDLE_TTL", "90m")],
            "refresh_token.idle_ttl (environment variable RELATCH__REFRESH_TOKEN__IDLE_TTL): 90m is longer than refresh_token.absolute_ttl, 1h (relatch.toml, line 1); write a shorter duration here or a longer one there",
        ),
        (
            "access_token.ttl = \"15d\"",
            &[],
            "access_token.ttl (relatch.toml, line 1): 15d is longer than refresh_token.idle_ttl, 14d (built-in default); write a shorter duration here or a longer one there",
        ),
        (
            "refresh_token.grace = \"20d\"",
            &[],
            "refresh_token.grace (relatch.toml, line 1): 20d is longer than refresh_token.idle_ttl, 14d (built-in default); write a shorter duration here or a longer one there",
        ),
        (
            "access_token.sliding = \"15m\"",
            &[],
            "access_token.sliding (relatch.toml, line 1): 15m is not shorter than access_token.ttl, 15m (built-in default); write the last part of an access token's life, such as a third of it, or \"off\"",
        ),
        (
            "rate_limit.session_refresh_interval = \"1m\"",
            &[],
            "rate_limit.session_refresh_interval (relatch.toml, line 1): no session's record can count 600 refreshes at once (rate_limit.session_refresh_burst, built-in default) with this interval between them; write a multiple of \"100ms\" that makes at most 6553s when multiplied with the burst",
        ),
        (
            "rate_limit.session_refresh_interval = \"150ms\"",
            &[],
            "rate_limit.session_refresh_interval (relatch.toml, line 1): no session's record can count 600 refreshes at once (rate_limit.session_refresh_burst, built-in default) with this interval between them; write a multiple of \"100ms\" that makes at most 6553s when multiplied with the burst",
        ),
    ]);
}

#[test]
fn listeners_that_contradict_each_other_are_refused() {
    assert_messages(&[
        (
            "[http.tls]\ncertificate_file = \"c\"",
            &[],
            "http.tls.certificate_file (relatch.toml, line 2): has no key; set http.tls.key_file too",
        ),
        (
            "[http.tls]\nkey_file = \"k\"",
            &[],
            "http.tls.key_file (relatch.toml, line 2): has no certificate; set http.tls.certificate_file too",
        ),
        (
            "[http.tls]\ncertificate_file = \"c\"\nkey_file = \"k\"",
            &[],
            "issuer (built-in default): is an http URL although the listener speaks TLS (http.tls.certificate_file, relatch.toml, line 2); write the https URL by which clients reach it",
        ),
        (
            "ops.listen = \"127.0.0.1:8080\"",
            &[],
            "ops.listen (relatch.toml, line 1): 127.0.0.1:8080 is taken by http.listen, localhost:8080 (built-in default); write another port",
        ),
    ]);
}

#[test]
fn master_keys_and_passwords_that_contradict_the_rest_are_refused() {
    assert_messages(&[
        (
            "store.url = \"redis://localhost\"",
            &[],
            "master_key (built-in default): is missing, and Redis does not keep it (store.url, relatch.toml, line 1); give every server the same 32 random bytes in Base64; `relatch key generate` makes them",
        ),
        (
            "",
            &[("RELATCH__MASTER_KEYS_PREVIOUS", KEY)],
            "master_keys_previous (environment variable RELATCH__MASTER_KEYS_PREVIOUS): there is no present one; set master_key too",
        ),
        (
            "",
            &[("RELATCH__MASTER_KEY", KEY), ("RELATCH__MASTER_KEYS_PREVIOUS", KEY)],
            "master_keys_previous (environment variable RELATCH__MASTER_KEYS_PREVIOUS): one of them is master_key itself (environment variable RELATCH__MASTER_KEY); leave it out here, or set a new master_key",
        ),
        (
            "bootstrap.admin_password = \"1234567\"",
            &[],
            "bootstrap.admin_password (relatch.toml, line 1): is too short (password.min_length, built-in default); write at least 8 characters",
        ),
        (
            "",
            &[("RELATCH__MASTER_KEY", KEY), ("RELATCH__MASTER_KEY_FILE", "k")],
            "master_key (environment variable RELATCH__MASTER_KEY_FILE): is given twice in one layer, also by environment variable RELATCH__MASTER_KEY; give it once, as a value or as a file",
        ),
    ]);
}

#[test]
fn keys_with_the_same_bytes_in_another_alphabet_are_the_same() {
    let other_spelling = KEY.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let variables = |previous| [("RELATCH__MASTER_KEY", KEY), ("RELATCH__MASTER_KEYS_PREVIOUS", previous)];
    assert!(Files::with("").load(&variables(&other_spelling)).unwrap_err().contains("is master_key itself"));
    assert!(Files::with("").load(&variables(OTHER_KEY)).is_ok());
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    assert_messages(&[
        (
            "issuer = \n",
            &[],
            "relatch.toml, line 1: is not TOML (string values must be quoted, expected literal string); correct the line",
        ),
        ("[http]\n[http]", &[], "relatch.toml, line 2: is not TOML (duplicate key); correct the line"),
        ("a.b = 1\na.b = 2", &[], "relatch.toml, line 2: is not TOML (duplicate key); correct the line"),
        (
            "",
            &[("RELATCH__MASTER_KEY_FILE", "no/such")],
            "master_key (no/such, named by environment variable RELATCH__MASTER_KEY_FILE): cannot be read (No such file or directory (os error 2)); name a readable file with the secret",
        ),
        (
            "master_key_file = 1",
            &[],
            "master_key_file (relatch.toml, line 1): is not a path; write the path of a file with the secret",
        ),
    ]);
}

#[test]
fn a_missing_or_endless_file_is_named() {
    let error = |path: &str| super::load(Some(path.as_ref()), []).map(|_| ()).unwrap_err().to_string();
    let right = "name a TOML file with --config or RELATCH_CONFIG";
    assert_eq!(
        error("no/such.toml"),
        format!("no/such.toml: cannot be read (No such file or directory (os error 2)); {right}")
    );
    assert_eq!(error("/dev/zero"), format!("/dev/zero: cannot be read (it is not a regular file); {right}"));
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("long.toml").display().to_string();
    std::fs::write(&long, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(error(&long), format!("{long}: is longer than 1048576 bytes; {right}"));
}

#[test]
fn one_line_break_at_the_end_is_no_part_of_a_value_and_no_control_character_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let path = path.to_str().unwrap();
    let password = "a long walk on the pier";
    for end in ["", "\n", "\r\n"] {
        let text = format!("{password}{end}");
        std::fs::write(path, &text).unwrap();
        for variable in [
            ("RELATCH__BOOTSTRAP__ADMIN_PASSWORD", text.as_str()),
            ("RELATCH__BOOTSTRAP__ADMIN_PASSWORD_FILE", path),
        ] {
            let settings = Files::with("").load(&[variable]).unwrap();
            let read = settings.settings.bootstrap.admin_password.unwrap();
            assert_eq!(read.typed(), password, "{variable:?}");
        }
    }
    for (key, variable) in [
        ("bootstrap.admin_password", "RELATCH__BOOTSTRAP__ADMIN_PASSWORD"),
        ("store.password", "RELATCH__STORE__PASSWORD"),
        ("store.url", "RELATCH__STORE__URL"),
        ("store.sentinel_password", "RELATCH__STORE__SENTINEL_PASSWORD"),
        ("issuer", "RELATCH__ISSUER"),
    ] {
        for (text, control) in [
            ("correct horse\n\n", "000A"),
            ("correct\thorse", "0009"),
            ("correct horse\r", "000D"),
            ("correct\u{85}horse", "0085"),
        ] {
            let why = Files::with("").load(&[(variable, text)]).unwrap_err();
            let expected = format!(
                "{key} (environment variable {variable}): {{}}is not a text without control characters; write it without U+{control}"
            );
            let (beginning, end) = expected.split_once("{}").unwrap();
            assert!(why.starts_with(beginning) && why.ends_with(end), "{why}");
            assert!(key == "issuer" || !why.contains("horse"), "shown: {why}");
        }
    }
}
