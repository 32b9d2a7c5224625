//! The settings in effect, for people and for machines. Secrets are masked.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::Loaded;
use super::model::{LogFormat, LogLevel, Settings};
use super::parse::written;

/// Stands for a secret.
const MASK: &str = "***";

/// One line for each key, in TOML: `key = value   # origin`. A key without a value is a comment.
pub fn show(loaded: &Loaded) -> String {
    let lines: Vec<_> = effective(loaded)
        .into_iter()
        .map(|(key, value, origin)| {
            let line =
                if value.is_null() { format!("# {key} is not set") } else { format!("{key} = {value}") };
            (line, origin)
        })
        .collect();
    // Long values do not push the origins of the others to the far right.
    let width =
        lines.iter().map(|(line, _)| line.chars().count()).filter(|len| *len <= 60).max().unwrap_or(0);
    let mut text = String::new();
    for (line, origin) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line:width$}   # {origin}");
    }
    text
}

/// An object with a member for each key: `{"value", "origin"}`. A key without a value has `null`.
pub fn show_json(loaded: &Loaded) -> Value {
    let members = effective(loaded)
        .into_iter()
        .map(|(key, value, origin)| (key.to_owned(), json!({ "value": value, "origin": origin })));
    Value::Object(members.collect())
}

fn effective(loaded: &Loaded) -> Vec<(&'static str, Value, &str)> {
    let mut values = values(&loaded.settings);
    let mut value = |key: &str| values.remove(key).unwrap_or_default();
    loaded.origins.iter().map(|(key, origin)| (*key, value(key), origin.as_str())).collect()
}

/// The values by key.
fn values(settings: &Settings) -> Map<String, Value> {
    let all = [
        general(settings),
        http(settings),
        store(settings),
        tokens(settings),
        accounts(settings),
        rest(settings),
    ];
    all.into_iter()
        .filter_map(|section| if let Value::Object(map) = section { Some(map) } else { None })
        .flatten()
        .collect()
}

fn general(settings: &Settings) -> Value {
    json!({
        "issuer": settings.issuer.as_str(),
        "master_key": settings.master_key.as_ref().map(|_| MASK),
        "master_keys_previous": settings.master_keys_previous.iter().map(|_| MASK).collect::<Vec<_>>(),
    })
}

fn http(settings: &Settings) -> Value {
    let http = &settings.http;
    json!({
        "http.listen": http.listen.to_string(),
        "http.allowed_origins": http.allowed_origins.iter().map(super::WebOrigin::as_str).collect::<Vec<_>>(),
        "http.trusted_proxies": http.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "http.max_connections_per_address": http.max_connections_per_address,
        "http.stop_delay": written(http.stop_delay),
        "http.tls.certificate_file": http.tls.as_ref().map(|tls| &tls.certificate_file),
        "http.tls.key_file": http.tls.as_ref().map(|tls| &tls.key_file),
        "ops.listen": settings.ops.listen.to_string(),
        "ops.allowed_hosts": settings.ops.allowed_hosts,
    })
}

fn store(settings: &Settings) -> Value {
    let store = &settings.store;
    json!({
        "store.url": store.url.to_string(),
        "store.username": store.login.username,
        "store.password": store.login.password.as_ref().map(|_| MASK),
        "store.sentinel_username": store.sentinel_login.username,
        "store.sentinel_password": store.sentinel_login.password.as_ref().map(|_| MASK),
        "store.key_prefix": store.key_prefix,
        "store.sync_replicas": store.sync_replicas,
        "store.connect_timeout": written(store.connect_timeout),
        "store.response_timeout": written(store.response_timeout),
        "store.ca_file": store.ca_file,
        "store.client_certificate_file": store.client_certificate.as_ref().map(|tls| &tls.certificate_file),
        "store.client_key_file": store.client_certificate.as_ref().map(|tls| &tls.key_file),
    })
}

fn or_off(duration: Option<std::time::Duration>) -> String {
    duration.map_or_else(|| "off".to_owned(), written)
}

fn tokens(settings: &Settings) -> Value {
    let access = &settings.access_token;
    let refresh = &settings.refresh_token;
    json!({
        "access_token.ttl": written(access.ttl),
        "access_token.algorithm": access.algorithm.name(),
        "access_token.audience": access.audience,
        "access_token.claims": access.claims.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "access_token.sliding": or_off(access.sliding),
        "access_token.rotate_key_after": or_off(access.rotate_key_after),
        "refresh_token.idle_ttl": written(refresh.idle_ttl),
        "refresh_token.absolute_ttl": written(refresh.absolute_ttl),
        "refresh_token.grace": written(refresh.grace),
        "refresh_token.require_access_token": refresh.require_access_token,
        "refresh_token.heal.slack": written(refresh.heal.slack),
        "refresh_token.heal.max_ahead": refresh.heal.max_ahead,
    })
}

fn accounts(settings: &Settings) -> Value {
    let password = &settings.password;
    json!({
        "sessions.max_per_user": settings.sessions.max_per_user,
        "password.bcrypt_cost": password.bcrypt_cost.get(),
        "password.hash_threads": password.hash_threads,
        "password.max_wait": written(settings.password.max_wait),
        "password.min_length": password.min_length,
        "password.reset_ttl": written(password.reset_ttl),
        "password.reauthentication_age": written(password.reauthentication_age),
        "registration.enabled": settings.registration.enabled,
        "bootstrap.admin_username": settings.bootstrap.admin_username.as_str(),
        "bootstrap.admin_password": settings.bootstrap.admin_password.as_ref().map(|_| MASK),
    })
}

fn rest(settings: &Settings) -> Value {
    let limits = &settings.rate_limit;
    let refresh = limits.session_refresh;
    json!({
        "rate_limit.enabled": limits.enabled,
        "rate_limit.session_refresh_interval": written(refresh.interval()),
        "rate_limit.session_refresh_burst": refresh.burst(),
        "rate_limit.account_failures": limits.account_failures,
        "rate_limit.account_failure_interval": written(limits.account_failure_interval),
        "rate_limit.address_failures": limits.address_failures,
        "rate_limit.address_failure_interval": written(limits.address_failure_interval),
        "rate_limit.strangers_failures": limits.strangers_failures,
        "rate_limit.strangers_failure_interval": written(limits.strangers_failure_interval),
        "rate_limit.longest_wait": written(limits.longest_wait),
        "rate_limit.sign_ins": limits.sign_ins,
        "rate_limit.sign_in_interval": written(limits.sign_in_interval),
        "rate_limit.registrations": limits.registrations,
        "rate_limit.registration_interval": written(limits.registration_interval),
        "rate_limit.address_requests": limits.address_requests,
        "rate_limit.address_request_interval": written(limits.address_request_interval),
        "audit.max_records": settings.audit.max_records,
        "admin.socket": settings.admin.socket,
        "log.format": word(&LogFormat::WORDS, &settings.log.format),
        "log.level": word(&LogLevel::WORDS, &settings.log.level),
        "log.linger": written(settings.log.linger),
    })
}

/// The word that means a value.
fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> Option<&'static str> {
    words.iter().find(|(_, meant)| meant == value).map(|(word, _)| *word)
}
