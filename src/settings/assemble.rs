//! From merged layers to [`Settings`], one section after the other. What contradicts what is in
//! [`contradictions`](super::contradictions).

use std::num::NonZeroUsize;

use relatch_domain::password_rules::Password;
use relatch_domain::policy::HealPolicy;
use relatch_domain::user::Username;
use secrecy::SecretString;

use super::error::SettingsError;
use super::keys;
use super::layers::Merged;
use super::model::{
    AccessTokenSettings, AdminSettings, AuditSettings, BootstrapSettings, HttpSettings, LogFormat, LogLevel,
    LogSettings, OpsSettings, PasswordSettings, RateLimitSettings, RefreshBudget, RefreshTokenSettings,
    RegistrationSettings, SessionSettings, Settings, StoreLogin, StoreSettings, TlsSettings,
};
use super::network::{Issuer, Listen, WebOrigin, host_name, network};
use super::parse::{
    Raw, Wrong, boolean, duration, integer, lifetime, list, of_text, one_of, path, positive, secrets,
};
use super::store_url::StoreUrl;
use crate::keys::claims::{CustomClaim, CustomClaims, InvalidClaim};
use crate::keys::master::{InvalidMasterKey, MasterKey};
use crate::keys::password::Cost;
use crate::keys::signing::Algorithm;

/// Reads every key.
pub(super) fn assemble(layers: &Merged) -> Result<Settings, SettingsError> {
    let issuer = layers.required("issuer", of_text(Issuer::parse))?;
    let store = store(layers)?;
    Ok(Settings {
        master_key: layers.optional("master_key", of_text(master_key))?,
        master_keys_previous: layers
            .optional("master_keys_previous", secrets(master_key))?
            .unwrap_or_default(),
        http: http(layers)?,
        ops: OpsSettings {
            listen: layers.required("ops.listen", of_text(Listen::parse))?,
            allowed_hosts: layers.required("ops.allowed_hosts", list(host_name))?,
        },
        access_token: access_token(layers, &issuer)?,
        refresh_token: refresh_token(layers)?,
        sessions: SessionSettings {
            max_per_user: layers.required("sessions.max_per_user", integer(1..=1000))?,
        },
        password: password(layers)?,
        registration: RegistrationSettings { enabled: layers.required("registration.enabled", boolean)? },
        bootstrap: bootstrap(layers)?,
        rate_limit: rate_limit(layers)?,
        audit: AuditSettings {
            max_records: layers.required("audit.max_records", integer(100..=10_000_000))?,
        },
        admin: admin(layers, &store.url)?,
        log: LogSettings {
            format: layers.required("log.format", of_text(one_of(&LogFormat::WORDS)))?,
            level: layers.required("log.level", of_text(one_of(&LogLevel::WORDS)))?,
            linger: layers.required("log.linger", of_text(duration))?,
        },
        issuer,
        store,
    })
}

impl Merged {
    /// A key's value, typed, if it has one.
    fn optional<T>(
        &self,
        key: &'static str,
        parse: impl Fn(Raw<'_>) -> Result<T, Wrong>,
    ) -> Result<Option<T>, SettingsError> {
        self.read(key, |raw| {
            parse(raw).map_err(|Wrong { entry, not, right }| {
                let shown = entry.or_else(|| raw.shown().filter(|_| !keys::is_secret(key)));
                let shown = shown.as_deref().unwrap_or("the value");
                self.complaint(key, format!("{shown} is not {not}"), right)
            })
        })
    }

    /// A key's value, typed.
    fn required<T>(
        &self,
        key: &'static str,
        parse: impl Fn(Raw<'_>) -> Result<T, Wrong>,
    ) -> Result<T, SettingsError> {
        self.optional(key, parse)?.ok_or_else(|| self.complaint(key, "is missing", "give it a value"))
    }

    /// A complaint about a key: its name and where its value came from are added.
    pub(super) fn complaint(
        &self,
        key: &str,
        problem: impl Into<String>,
        right: impl Into<String>,
    ) -> SettingsError {
        SettingsError::new(format_args!("{key} ({})", self.origin(key)), problem, right)
    }
}

fn http(layers: &Merged) -> Result<HttpSettings, SettingsError> {
    Ok(HttpSettings {
        listen: layers.required("http.listen", of_text(Listen::parse))?,
        allowed_origins: layers.required("http.allowed_origins", list(WebOrigin::parse))?,
        trusted_proxies: layers.required("http.trusted_proxies", list(network))?,
        max_connections_per_address: layers
            .required("http.max_connections_per_address", integer(1..=1_000_000))?,
        stop_delay: layers.required("http.stop_delay", of_text(duration))?,
        tls: certificate(layers, "http.tls.certificate_file", "http.tls.key_file")?,
    })
}

/// A certificate and its key: both or none.
fn certificate(
    layers: &Merged,
    certificate: &'static str,
    key: &'static str,
) -> Result<Option<TlsSettings>, SettingsError> {
    match (layers.optional(certificate, path)?, layers.optional(key, path)?) {
        (Some(certificate_file), Some(key_file)) => Ok(Some(TlsSettings { certificate_file, key_file })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(layers.complaint(certificate, "has no key", format!("set {key} too"))),
        (None, Some(_)) => Err(layers.complaint(key, "has no certificate", format!("set {certificate} too"))),
    }
}

fn store(layers: &Merged) -> Result<StoreSettings, SettingsError> {
    let url = layers.required("store.url", of_text(StoreUrl::parse))?;
    Ok(StoreSettings {
        login: login(layers, "store.username", "store.password")?,
        sentinel_login: login(layers, "store.sentinel_username", "store.sentinel_password")?,
        key_prefix: layers.required("store.key_prefix", of_text(key_prefix))?,
        sync_replicas: layers
            .optional("store.sync_replicas", integer(0..=16))?
            .unwrap_or_else(|| url.default_sync_replicas()),
        connect_timeout: layers.required("store.connect_timeout", of_text(positive))?,
        response_timeout: layers.required("store.response_timeout", of_text(positive))?,
        ca_file: layers.optional("store.ca_file", path)?,
        client_certificate: certificate(layers, "store.client_certificate_file", "store.client_key_file")?,
        url,
    })
}

fn login(
    layers: &Merged,
    username: &'static str,
    password: &'static str,
) -> Result<StoreLogin, SettingsError> {
    let any = |text: &str| Ok(text.to_owned());
    let login = StoreLogin {
        username: layers.optional(username, of_text(any))?,
        password: layers.optional(password, of_text(any))?.map(SecretString::from),
    };
    // Redis is told a name only together with a password: one who comes without is `default`.
    if login.username.is_some() && login.password.is_none() {
        return Err(layers.complaint(username, "has no password", format!("set {password} too")));
    }
    Ok(login)
}

fn key_prefix(text: &str) -> Result<String, Wrong> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if text.len() <= 32 && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new("a prefix of keys", "write 1 to 32 letters, digits and - _ . :"))
    }
}

fn access_token(layers: &Merged, issuer: &Issuer) -> Result<AccessTokenSettings, SettingsError> {
    let audience = layers.optional("access_token.audience", list(|entry| Ok(entry.to_owned())))?;
    if audience.as_ref().is_some_and(Vec::is_empty) {
        let right = "name who the tokens are for, or leave the key out, which means the issuer";
        return Err(layers.complaint("access_token.audience", "is empty", right));
    }
    Ok(AccessTokenSettings {
        ttl: layers.required("access_token.ttl", of_text(lifetime))?,
        algorithm: layers.required(
            "access_token.algorithm",
            of_text(one_of(&Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm)))),
        )?,
        audience: audience.unwrap_or_else(|| vec![issuer.as_str().to_owned()]),
        claims: claims(layers)?,
        sliding: layers.required("access_token.sliding", of_text(unless_off))?,
        rotate_key_after: layers.required("access_token.rotate_key_after", of_text(unless_off))?,
    })
}

fn unless_off(text: &str) -> Result<Option<std::time::Duration>, Wrong> {
    if text == "off" { Ok(None) } else { positive(text).map(Some) }
}

fn claims(layers: &Merged) -> Result<CustomClaims, SettingsError> {
    let key = "access_token.claims";
    let claims = layers.required(key, list(claim))?;
    CustomClaims::try_from(claims)
        .map_err(|error| layers.complaint(key, error.to_string(), "name fewer, shorter or other claims"))
}

fn claim(text: &str) -> Result<CustomClaim, Wrong> {
    CustomClaim::parse(text).map_err(|error| match error {
        InvalidClaim::Name => Wrong::new(
            "a claim that attributes can fill",
            "write \"claim\" or \"claim=attribute\", each of 1 to 64 letters, digits and _ - . :",
        ),
        InvalidClaim::Reserved => Wrong::new(
            "a claim that attributes can fill: it has a meaning of its own",
            "take another name for the claim, such as \"my_name=attribute\"",
        ),
    })
}

fn refresh_token(layers: &Merged) -> Result<RefreshTokenSettings, SettingsError> {
    Ok(RefreshTokenSettings {
        idle_ttl: layers.required("refresh_token.idle_ttl", of_text(lifetime))?,
        absolute_ttl: layers.required("refresh_token.absolute_ttl", of_text(lifetime))?,
        grace: layers.required("refresh_token.grace", of_text(duration))?,
        heal: HealPolicy {
            slack: layers.required("refresh_token.heal.slack", of_text(duration))?,
            max_ahead: layers.required("refresh_token.heal.max_ahead", integer(0..=i64::from(u32::MAX)))?,
        },
        require_access_token: layers.required("refresh_token.require_access_token", boolean)?,
    })
}

fn password(layers: &Merged) -> Result<PasswordSettings, SettingsError> {
    let bounds = i64::from(Cost::MIN.get())..=i64::from(Cost::MAX.get());
    let cost = integer::<u32>(bounds);
    Ok(PasswordSettings {
        bcrypt_cost: layers.required("password.bcrypt_cost", |raw| {
            Cost::new(cost(raw)?).ok_or_else(|| Wrong::new("a cost of bcrypt", "write a number from 4 to 16"))
        })?,
        hash_threads: layers
            .optional("password.hash_threads", integer::<usize>(1..=256))?
            .and_then(NonZeroUsize::new),
        max_wait: layers.required("password.max_wait", of_text(positive))?,
        min_length: layers.required("password.min_length", integer(1..=64))?,
        reset_ttl: layers.required("password.reset_ttl", of_text(lifetime))?,
        reauthentication_age: layers.required("password.reauthentication_age", of_text(positive))?,
    })
}

fn bootstrap(layers: &Merged) -> Result<BootstrapSettings, SettingsError> {
    Ok(BootstrapSettings {
        admin_username: layers.required("bootstrap.admin_username", of_text(username))?,
        admin_password: layers.optional("bootstrap.admin_password", of_text(admin_password))?,
    })
}

fn username(text: &str) -> Result<Username, Wrong> {
    text.parse()
        .map_err(|_| Wrong::new("a user name", "write 1 to 128 letters, digits or symbols, no spaces"))
}

fn admin_password(text: &str) -> Result<Password, Wrong> {
    Password::parse_new(text)
        .map_err(|_| Wrong::new("a password", "write 1 to 1024 bytes of text without control characters"))
}

/// How many failures may be free.
const FAILURES: std::ops::RangeInclusive<i64> = 1..=1_000_000;

fn rate_limit(layers: &Merged) -> Result<RateLimitSettings, SettingsError> {
    let interval = layers.required("rate_limit.session_refresh_interval", of_text(positive))?;
    let burst = layers.required("rate_limit.session_refresh_burst", integer(1..=i64::from(u16::MAX)))?;
    let session_refresh = RefreshBudget::new(interval, burst).map_err(|_| {
        layers.complaint(
            "rate_limit.session_refresh_interval",
            format!(
                "no session's record can count {burst} refreshes at once (rate_limit.session_refresh_burst, {}) \
                 with this interval between them",
                layers.origin("rate_limit.session_refresh_burst")
            ),
            "write a multiple of \"100ms\" that makes at most 6553s when multiplied with the burst",
        )
    })?;
    Ok(RateLimitSettings {
        enabled: layers.required("rate_limit.enabled", boolean)?,
        session_refresh,
        account_failures: layers.required("rate_limit.account_failures", integer(FAILURES))?,
        account_failure_interval: layers
            .required("rate_limit.account_failure_interval", of_text(positive))?,
        address_failures: layers.required("rate_limit.address_failures", integer(FAILURES))?,
        address_failure_interval: layers
            .required("rate_limit.address_failure_interval", of_text(positive))?,
        strangers_failures: layers.required("rate_limit.strangers_failures", integer(FAILURES))?,
        strangers_failure_interval: layers
            .required("rate_limit.strangers_failure_interval", of_text(positive))?,
        longest_wait: layers.required("rate_limit.longest_wait", of_text(positive))?,
        sign_ins: layers.required("rate_limit.sign_ins", integer(1..=1_000_000))?,
        sign_in_interval: layers.required("rate_limit.sign_in_interval", of_text(positive))?,
        registrations: layers.required("rate_limit.registrations", integer(1..=1_000_000))?,
        registration_interval: layers.required("rate_limit.registration_interval", of_text(positive))?,
        address_requests: layers.required("rate_limit.address_requests", integer(1..=1_000_000))?,
        address_request_interval: layers
            .required("rate_limit.address_request_interval", of_text(positive))?,
    })
}

fn admin(layers: &Merged, store: &StoreUrl) -> Result<AdminSettings, SettingsError> {
    let beside_the_data = match store {
        StoreUrl::Embedded(database) => Some(database.with_extension("sock")),
        StoreUrl::Redis(_) => None,
    };
    Ok(AdminSettings { socket: layers.optional("admin.socket", path)?.or(beside_the_data) })
}

fn master_key(text: &str) -> Result<SecretString, Wrong> {
    const RIGHT: &str = "write 32 random bytes in Base64; `relatch key generate` makes them";
    match MasterKey::from_base64(text) {
        Ok(_) => Ok(SecretString::from(text.to_owned())),
        Err(InvalidMasterKey::Placeholder) => Err(Wrong::new("random: it is one byte over and over", RIGHT)),
        Err(InvalidMasterKey::Malformed) => Err(Wrong::new("32 bytes in Base64", RIGHT)),
    }
}
