//! The names of all settings.

/// A setting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// With dots, as in `http.listen`.
    pub(super) name: &'static str,
    /// Whether the value is never shown, and can be kept in a file of its own.
    pub(super) secret: bool,
}

const fn open(name: &'static str) -> Key {
    Key { name, secret: false }
}

const fn secret(name: &'static str) -> Key {
    Key { name, secret: true }
}

/// All of them, in the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    open("issuer"),
    secret("master_key"),
    secret("master_keys_previous"),
    open("http.listen"),
    open("http.allowed_origins"),
    open("http.trusted_proxies"),
    open("http.max_connections_per_address"),
    open("http.stop_delay"),
    open("http.tls.certificate_file"),
    open("http.tls.key_file"),
    open("ops.listen"),
    open("ops.allowed_hosts"),
    secret("store.url"),
    open("store.username"),
    secret("store.password"),
    open("store.sentinel_username"),
    secret("store.sentinel_password"),
    open("store.key_prefix"),
    open("store.sync_replicas"),
    open("store.connect_timeout"),
    open("store.response_timeout"),
    open("store.ca_file"),
    open("store.client_certificate_file"),
    open("store.client_key_file"),
    open("access_token.ttl"),
    open("access_token.algorithm"),
    open("access_token.audience"),
    open("access_token.claims"),
    open("access_token.sliding"),
    open("access_token.rotate_key_after"),
    open("refresh_token.idle_ttl"),
    open("refresh_token.absolute_ttl"),
    open("refresh_token.grace"),
    open("refresh_token.require_access_token"),
    open("refresh_token.heal.slack"),
    open("refresh_token.heal.max_ahead"),
    open("sessions.max_per_user"),
    open("password.bcrypt_cost"),
    open("password.hash_threads"),
    open("password.max_wait"),
    open("password.min_length"),
    open("password.reset_ttl"),
    open("password.reauthentication_age"),
    open("registration.enabled"),
    open("bootstrap.admin_username"),
    secret("bootstrap.admin_password"),
    open("rate_limit.enabled"),
    open("rate_limit.session_refresh_interval"),
    open("rate_limit.session_refresh_burst"),
    open("rate_limit.account_failures"),
    open("rate_limit.account_failure_interval"),
    open("rate_limit.address_failures"),
    open("rate_limit.address_failure_interval"),
    open("rate_limit.strangers_failures"),
    open("rate_limit.strangers_failure_interval"),
    open("rate_limit.longest_wait"),
    open("rate_limit.sign_ins"),
    open("rate_limit.sign_in_interval"),
    open("rate_limit.registrations"),
    open("rate_limit.registration_interval"),
    open("rate_limit.address_requests"),
    open("rate_limit.address_request_interval"),
    open("audit.max_records"),
    open("admin.socket"),
    open("log.format"),
    open("log.level"),
    open("log.linger"),
];

/// What the variable of every key starts with.
pub(super) const VARIABLE_PREFIX: &str = "RELATCH__";

/// What is added to a secret's name when the value is a path.
const FILE_SUFFIX: &str = "_file";

/// How a name that was found refers to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is the key: the value follows.
    Value(Key),
    /// It is a secret's key with `_file` added: the path of a file with the value follows.
    PathOf(Key),
}

/// What a name with dots means, if anything.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let find = |name: &str| KEYS.iter().copied().find(|key| key.name == name);
    find(name).map(Meaning::Value).or_else(|| {
        let key = find(name.strip_suffix(FILE_SUFFIX)?)?;
        key.secret.then_some(Meaning::PathOf(key))
    })
}

/// Whether a key's value is never shown.
pub(super) fn is_secret(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && key.secret)
}

/// Whether a name is that of a section, such as `http.tls`.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The outermost sections.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> =
        KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(section, _)| section).collect();
    sections.dedup();
    sections
}

/// The key that a name treats as a section, such as `issuer` in `issuer.url`.
pub(super) fn key_above(name: &str) -> Option<&'static str> {
    let is_above = |key: &str| name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    KEYS.iter().map(|key| key.name).find(|key| is_above(key))
}

/// The environment variable of a name with dots.
pub(super) fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_uppercase().replace('.', "__"))
}

/// The name with dots of an environment variable; none if the variable is not written as [`variable`] writes it.
pub(super) fn name_of_variable(text: &str) -> Option<String> {
    let name = guess_of_variable(text);
    (variable(&name) == text).then_some(name)
}

/// The name with dots that an environment variable has if one does not look at its case.
pub(super) fn guess_of_variable(text: &str) -> String {
    text.strip_prefix(VARIABLE_PREFIX).unwrap_or(text).to_lowercase().replace("__", ".")
}

/// The known name that an unknown one is most likely meant to be: one of nearly the same letters, or else the first
/// that ends like it, for a key in the wrong section.
pub(super) fn nearest(unknown: &str) -> Option<String> {
    let names = || {
        KEYS.iter().flat_map(|key| {
            let path = key.secret.then(|| format!("{}{FILE_SUFFIX}", key.name));
            std::iter::once(key.name.to_owned()).chain(path)
        })
    };
    let last = |name: &str| name.rsplit('.').next().map(ToOwned::to_owned);
    crate::near::nearest(unknown, names()).or_else(|| names().find(|name| last(name) == last(unknown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_and_its_name_are_one_to_one() {
        for key in KEYS {
            assert_eq!(name_of_variable(&variable(key.name)).as_deref(), Some(key.name));
        }
        assert_eq!(variable("refresh_token.heal.max_ahead"), "RELATCH__REFRESH_TOKEN__HEAL__MAX_AHEAD");
        assert_eq!(name_of_variable("RELATCH__Issuer"), None);
        assert_eq!(name_of_variable("RELATCH_ISSUER"), None);
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        for (unknown, expected) in [
            ("htpp.listen", Some("http.listen")),
            ("refresh_token.idle_tll", Some("refresh_token.idle_ttl")),
            ("http.issuer", Some("issuer")),
            ("listen", Some("http.listen")),
            ("master_key_fil", Some("master_key_file")),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(unknown).as_deref(), expected, "{unknown}");
        }
    }

    #[test]
    fn only_secrets_can_be_kept_in_files() {
        assert!(matches!(meaning("master_key_file"), Some(Meaning::PathOf(_))));
        assert!(matches!(meaning("store.url_file"), Some(Meaning::PathOf(_))));
        assert!(matches!(meaning("http.tls.key_file"), Some(Meaning::Value(_))));
        assert_eq!(meaning("issuer_file"), None);
        assert!(
            is_section("http.tls") && is_section("store") && !is_section("stor") && !is_section("issuer")
        );
    }
}
