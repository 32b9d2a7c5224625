//! Settings that are right each for itself and wrong together, and settings that are allowed but unwise.

use relatch_domain::password_rules::WeakPassword;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::SettingsError;
use super::layers::Merged;
use super::model::{BootstrapSettings, Settings, StoreLogin};
use super::parse::written;
use super::store_url::{RedisForm, StoreUrl};
use crate::keys::master::MasterKey;
use crate::keys::password::Cost;

/// Refuses the first contradiction.
pub(super) fn refuse(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    lifetimes(settings, layers)?;
    listeners(settings, layers)?;
    store(settings, layers)?;
    master_keys(settings, layers)?;
    administrator(settings, layers)
}

fn lifetimes(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    let access = ("access_token.ttl", settings.access_token.ttl);
    let idle = ("refresh_token.idle_ttl", settings.refresh_token.idle_ttl);
    let absolute = ("refresh_token.absolute_ttl", settings.refresh_token.absolute_ttl);
    let grace = ("refresh_token.grace", settings.refresh_token.grace);
    for ((key, value), (bound, limit)) in [(idle, absolute), (access, idle), (grace, idle)] {
        if value > limit {
            return Err(layers.complaint(
                key,
                format!(
                    "{} is longer than {bound}, {} ({})",
                    written(value),
                    written(limit),
                    layers.origin(bound)
                ),
                "write a shorter duration here or a longer one there",
            ));
        }
    }
    match settings.access_token.sliding {
        Some(sliding) if sliding >= settings.access_token.ttl => Err(layers.complaint(
            "access_token.sliding",
            format!(
                "{} is not shorter than {}, {} ({})",
                written(sliding),
                access.0,
                written(access.1),
                layers.origin(access.0)
            ),
            "write the last part of an access token's life, such as a third of it, or \"off\"",
        )),
        _ => Ok(()),
    }
}

fn listeners(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    if settings.http.listen.collides_with(settings.ops.listen) {
        let other = format!("http.listen, {} ({})", settings.http.listen, layers.origin("http.listen"));
        let problem = format!("{} is taken by {other}", settings.ops.listen);
        return Err(layers.complaint("ops.listen", problem, "write another port"));
    }
    if settings.http.tls.is_some() && !settings.issuer.is_https() {
        let problem = format!(
            "is an http URL although the listener speaks TLS (http.tls.certificate_file, {})",
            layers.origin("http.tls.certificate_file")
        );
        return Err(layers.complaint("issuer", problem, "write the https URL by which clients reach it"));
    }
    Ok(())
}

fn store(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    let url = &settings.store.url;
    let where_from = layers.origin("store.url");
    let is_tls = matches!(url, StoreUrl::Redis(redis) if redis.is_tls());
    if settings.store.sync_replicas > 0 && matches!(url, StoreUrl::Embedded(_)) {
        let problem = format!("the embedded store has no replicas (store.url, {where_from})");
        return Err(layers.complaint("store.sync_replicas", problem, "write 0, or leave the key out"));
    }
    let certificates = [
        ("store.ca_file", settings.store.ca_file.is_some()),
        ("store.client_certificate_file", settings.store.client_certificate.is_some()),
    ];
    if let Some((key, _)) = certificates.into_iter().find(|(_, is_set)| *is_set && !is_tls) {
        let problem = format!("the store is not reached by TLS (store.url, {where_from})");
        let right = "write a URL that begins with \"rediss\", or leave the key out";
        return Err(layers.complaint(key, problem, right));
    }
    logins(settings, layers)
}

fn logins(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    let store = &settings.store;
    let where_from = format!("store.url, {}", layers.origin("store.url"));
    let first = |login: &StoreLogin, username, password| {
        let is_set = [(username, login.username.is_some()), (password, login.password.is_some())];
        is_set.into_iter().find(|(_, is_set)| *is_set).map(|(key, _)| key)
    };
    let login = first(&store.login, "store.username", "store.password");
    let of_sentinels = first(&store.sentinel_login, "store.sentinel_username", "store.sentinel_password");
    let contradiction = match (&store.url, login, of_sentinels) {
        (StoreUrl::Embedded(_), Some(key), _) => {
            (key, "the embedded store asks nobody for a login", "leave the key out")
        }
        (StoreUrl::Redis(url), Some(key), _) if url.has_login() => {
            (key, "there is a login in the URL as well", "leave one of the two out")
        }
        (StoreUrl::Redis(url), _, Some(_)) if url.form() == RedisForm::Sentinel => return Ok(()),
        (_, _, Some(key)) => (
            key,
            "the store is not reached by way of Sentinels",
            "write a \"redis+sentinel://\" URL, or leave the key out",
        ),
        _ => return Ok(()),
    };
    let (key, problem, right) = contradiction;
    Err(layers.complaint(key, format!("{problem} ({where_from})"), right))
}

fn master_keys(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    let previous = "master_keys_previous";
    let Some(current) = &settings.master_key else {
        if matches!(settings.store.url, StoreUrl::Redis(_)) {
            return Err(layers.complaint(
                "master_key",
                format!("is missing, and Redis does not keep it (store.url, {})", layers.origin("store.url")),
                "give every server the same 32 random bytes in Base64; `relatch key generate` makes them",
            ));
        }
        if !settings.master_keys_previous.is_empty() {
            return Err(layers.complaint(previous, "there is no present one", "set master_key too"));
        }
        return Ok(());
    };
    let read = |key: &SecretString| MasterKey::from_base64(key.expose_secret()).ok();
    let is_current = |key: &SecretString| {
        read(key).zip(read(current)).is_some_and(|(previous, current)| previous.is(&current))
    };
    if settings.master_keys_previous.iter().any(is_current) {
        let problem = format!("one of them is master_key itself ({})", layers.origin("master_key"));
        return Err(layers.complaint(previous, problem, "leave it out here, or set a new master_key"));
    }
    Ok(())
}

fn administrator(settings: &Settings, layers: &Merged) -> Result<(), SettingsError> {
    match administrators_password(settings) {
        Some(WeakPassword::TooShort(min_length)) => Err(layers.complaint(
            "bootstrap.admin_password",
            format!("is too short (password.min_length, {})", layers.origin("password.min_length")),
            format!("write at least {min_length} characters"),
        )),
        _ => Ok(()),
    }
}

/// What is weak about the administrator's first password.
fn administrators_password(settings: &Settings) -> Option<WeakPassword> {
    let BootstrapSettings { admin_username, admin_password } = &settings.bootstrap;
    let password = admin_password.as_ref()?;
    settings.password_rules().check(password, Some(admin_username)).err()
}

/// What the operator should know, although it stops nothing.
pub(super) fn warnings(settings: &Settings, layers: &Merged) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |key: &str, text: &str| warnings.push(format!("{key} ({}): {text}", layers.origin(key)));
    if settings.password.bcrypt_cost < Cost::RECOMMENDED_MIN {
        warn(
            "password.bcrypt_cost",
            "stolen hashes are guessed too quickly; 10 is the least, 12 the default",
        );
    }
    if settings.password.min_length < 8 {
        warn("password.min_length", "passwords of fewer than 8 characters are guessed too quickly");
    }
    // Refused wherever else a password is set. Here it may be a password of years ago, which long has another successor:
    // a server that has its users goes on.
    if let Some(weak @ (WeakPassword::Common | WeakPassword::Context)) = administrators_password(settings) {
        warn("bootstrap.admin_password", &weak.to_string());
    }
    if settings.store.sync_replicas < settings.store.url.default_sync_replicas() {
        warn(
            "store.sync_replicas",
            "a failover may bring revoked sessions back and lose the latest sign-ins; write 1, or leave the key out",
        );
    }
    if settings.http.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        warn("http.trusted_proxies", "everyone is trusted, so everyone can claim any address");
    }
    if settings.http.allowed_origins.iter().any(super::network::WebOrigin::is_plain_http) {
        warn(
            "http.allowed_origins",
            "pages that come by http can be changed on their way and act for their users",
        );
    }
    warnings
}
