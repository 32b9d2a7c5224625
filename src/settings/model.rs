//! The settings, typed. Whoever holds a [`Settings`] from [`load`](super::load) need check nothing more.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use relatch_domain::budget::{Budget, InvalidBudget};
use relatch_domain::cutoff::Cutoff;
use relatch_domain::guesses::GuessLimit;
use relatch_domain::password_rules::{Password, PasswordRules};
use relatch_domain::policy::{HealPolicy, RotationPolicy, SessionLimits};
use relatch_domain::user::Username;
use secrecy::SecretString;

use super::network::{Issuer, Listen, WebOrigin};
use super::store_url::StoreUrl;
use crate::app::guesses::GuessLimits;
use crate::app::usage::UsageLimits;
use crate::budgets;
use crate::keys::claims::CustomClaims;
use crate::keys::password::{Cost, HasherSize};
use crate::keys::signing::Algorithm;

/// Everything that an operator can set. `config/default.toml` documents each key.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The issuer identifier.
    pub issuer: Issuer,
    /// 32 bytes in Base64. There with Redis; with the embedded store it may be kept beside the database instead.
    pub master_key: Option<SecretString>,
    /// Earlier master keys, in the same form.
    pub master_keys_previous: Vec<SecretString>,
    /// The main listener.
    pub http: HttpSettings,
    /// The operators' listener.
    pub ops: OpsSettings,
    /// The store.
    pub store: StoreSettings,
    /// Access tokens.
    pub access_token: AccessTokenSettings,
    /// Refresh tokens.
    pub refresh_token: RefreshTokenSettings,
    /// Sessions.
    pub sessions: SessionSettings,
    /// Passwords.
    pub password: PasswordSettings,
    /// Accounts that strangers make.
    pub registration: RegistrationSettings,
    /// The first administrator.
    pub bootstrap: BootstrapSettings,
    /// Budgets.
    pub rate_limit: RateLimitSettings,
    /// Audit records.
    pub audit: AuditSettings,
    /// The way of the command line to a running server.
    pub admin: AdminSettings,
    /// Log lines.
    pub log: LogSettings,
}

impl Settings {
    /// The policy by which refresh tokens are judged, with no cutoff: that is state, not configuration.
    pub fn rotation_policy(&self) -> RotationPolicy {
        let RefreshTokenSettings { idle_ttl, absolute_ttl, grace, heal, .. } = self.refresh_token;
        let RateLimitSettings { enabled, session_refresh, .. } = self.rate_limit;
        let budget = if enabled { session_refresh.budget } else { Budget::UNLIMITED };
        RotationPolicy { idle_ttl, absolute_ttl, grace, heal, budget, cutoff: Cutoff::NONE }
    }

    /// How much hashing goes on at once.
    pub fn hasher_size(&self) -> HasherSize {
        HasherSize {
            threads: self.password.hash_threads.unwrap_or_else(HasherSize::default_threads),
            max_wait: self.password.max_wait,
        }
    }

    /// What new passwords must be.
    pub fn password_rules(&self) -> PasswordRules {
        PasswordRules::new(self.password.min_length, self.issuer.host())
    }

    /// How many sessions a user may have, and how long ended ones are remembered: until none of their access tokens
    /// can be alive.
    pub fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            max_live: self.sessions.max_per_user,
            max_tombstones: SessionLimits::MAX_TOMBSTONES,
            tombstone_ttl: self.access_token.ttl.max(SessionLimits::MIN_TOMBSTONE_TTL),
        }
    }
}

/// `http.*`
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where the server listens.
    pub listen: Listen,
    /// Browser origins that may call with credentials.
    pub allowed_origins: Vec<WebOrigin>,
    /// Whose forwarding headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that one address may have at once.
    pub max_connections_per_address: u32,
    /// How long a server that is asked to stop still serves, unready, before it takes no new connections.
    pub stop_delay: Duration,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsSettings>,
}

/// A certificate of ours: `http.tls.*`, or `store.client_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the certificate chain.
    pub certificate_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
}

/// `ops.*`
#[derive(Debug, Clone)]
pub struct OpsSettings {
    /// Where metrics and health are served.
    pub listen: Listen,
    /// By which names they may be asked for, besides `localhost` and addresses. In lower case.
    pub allowed_hosts: Vec<String>,
}

/// `store.*`
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where the store is.
    pub url: StoreUrl,
    /// As whom to come to Redis. Empty if the URL says it, and with the embedded store.
    pub login: StoreLogin,
    /// As whom to come to Sentinels. Empty without any.
    pub sentinel_login: StoreLogin,
    /// First part of every key: 1 to 32 letters, digits and `-_.:`, so never a brace, which would be a hash tag.
    pub key_prefix: String,
    /// Replicas that must acknowledge sign-ins and security-relevant writes. Without a value: as many as
    /// [`StoreUrl::default_sync_replicas`] says.
    pub sync_replicas: u8,
    /// How long connecting to Redis may take.
    pub connect_timeout: Duration,
    /// How long an answer of Redis may take.
    pub response_timeout: Duration,
    /// PEM file of the certificate authority of a `rediss` server; the system's without.
    pub ca_file: Option<PathBuf>,
    /// What is shown to a `rediss` server that asks who comes.
    pub client_certificate: Option<TlsSettings>,
}

/// As whom to come. There is no name without a password.
#[derive(Debug, Clone, Default)]
pub struct StoreLogin {
    /// The name of an ACL user; that of Redis' user `default` without.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

/// `access_token.*`
#[derive(Debug, Clone)]
pub struct AccessTokenSettings {
    /// Lifetime, in whole seconds.
    pub ttl: Duration,
    /// The algorithm of new tokens.
    pub algorithm: Algorithm,
    /// `aud`; never empty.
    pub audience: Vec<String>,
    /// The claims that users' attributes fill.
    pub claims: CustomClaims,
    /// How long before its end a token in a cookie is renewed; shorter than `ttl`. None: never.
    pub sliding: Option<Duration>,
    /// How long a key signs before the next one takes its place by itself. None: it never does.
    pub rotate_key_after: Option<Duration>,
}

/// `refresh_token.*`
#[derive(Debug, Clone)]
pub struct RefreshTokenSettings {
    /// A session that does not refresh for so long expires. Whole seconds.
    pub idle_ttl: Duration,
    /// A session that is so old expires. Whole seconds.
    pub absolute_ttl: Duration,
    /// How long a client without attempt keys may present the previous token again.
    pub grace: Duration,
    /// Bounds of the Heal verdict.
    pub heal: HealPolicy,
    /// Whether `/token/refresh` demands the access token of the pair.
    pub require_access_token: bool,
}

/// `sessions.*`
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Live sessions of a user.
    pub max_per_user: usize,
}

/// `password.*`
#[derive(Debug, Clone)]
pub struct PasswordSettings {
    /// Cost of new hashes.
    pub bcrypt_cost: Cost,
    /// Passwords that are hashed at once; without a value one fewer than there are cores, and at least one.
    pub hash_threads: Option<NonZeroUsize>,
    /// How long a password may wait for one of the threads.
    pub max_wait: Duration,
    /// Fewest characters of a new password.
    pub min_length: usize,
    /// How long a reset token is good.
    pub reset_ttl: Duration,
    /// A password change needs a sign-in newer than this.
    pub reauthentication_age: Duration,
}

/// `registration.*`
#[derive(Debug, Clone)]
pub struct RegistrationSettings {
    /// Whether strangers may make accounts for themselves.
    pub enabled: bool,
}

/// `bootstrap.*`
#[derive(Debug, Clone)]
pub struct BootstrapSettings {
    /// The first administrator's name.
    pub admin_username: Username,
    /// The first administrator's password; made and shown once without.
    pub admin_password: Option<Password>,
}

/// `rate_limit.*`
#[derive(Debug, Clone)]
pub struct RateLimitSettings {
    /// Whether any budget holds.
    pub enabled: bool,
    /// How many refreshes one session may make.
    pub session_refresh: RefreshBudget,
    /// Failed sign-ins of one account that need no wait.
    pub account_failures: u32,
    /// After so long one of them counts no more.
    pub account_failure_interval: Duration,
    /// Failed sign-ins from one address that need no wait.
    pub address_failures: u32,
    /// After so long one of them counts no more.
    pub address_failure_interval: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
    /// Failed sign-ins of all strangers together that need no wait.
    pub strangers_failures: u32,
    /// After so long one of them counts no more.
    pub strangers_failure_interval: Duration,
    /// Successful sign-ins of one account to one node that come at once.
    pub sign_ins: u32,
    /// After so long there may be one more.
    pub sign_in_interval: Duration,
    /// Registrations from one address to one node that come at once.
    pub registrations: u32,
    /// After so long there may be one more.
    pub registration_interval: Duration,
    /// Requests from one address to one node that come at once.
    pub address_requests: u32,
    /// After so long there may be one more.
    pub address_request_interval: Duration,
}

impl RateLimitSettings {
    /// The wait after the first failure that is not free; it doubles from there.
    const FIRST_WAIT: Duration = Duration::from_secs(1);
    /// A block of addresses may fail as often as so many of them.
    const ADDRESSES_IN_A_BLOCK: u32 = 4;

    /// How often what is allowed may be done, if that is limited.
    pub fn usage(&self) -> Option<UsageLimits> {
        self.enabled.then_some(UsageLimits {
            sign_ins: budgets::Budget { burst: self.sign_ins, interval: self.sign_in_interval },
            registrations: budgets::Budget {
                burst: self.registrations,
                interval: self.registration_interval,
            },
        })
    }

    /// How many guesses of passwords are allowed, if that is limited.
    pub fn guesses(&self) -> Option<GuessLimits> {
        let limit = |free, forgotten_after: Duration| GuessLimit {
            forgotten_after,
            free,
            first_wait: Self::FIRST_WAIT.min(self.longest_wait),
            longest_wait: self.longest_wait,
        };
        let of_block = Self::ADDRESSES_IN_A_BLOCK;
        self.enabled.then(|| GuessLimits {
            account: limit(self.account_failures, self.account_failure_interval),
            address: limit(self.address_failures, self.address_failure_interval),
            block: limit(
                self.address_failures.saturating_mul(of_block),
                (self.address_failure_interval / of_block).max(Duration::from_millis(1)),
            ),
            // The callers differ from attempt to attempt, so one gets through in each interval, and the wait does not double.
            strangers: GuessLimit {
                first_wait: self.strangers_failure_interval,
                longest_wait: self.strangers_failure_interval,
                ..limit(self.strangers_failures, self.strangers_failure_interval)
            },
        })
    }
}

/// How many refreshes one session may make, as it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshBudget {
    interval: Duration,
    burst: u16,
    budget: Budget,
}

impl RefreshBudget {
    /// One refresh each `interval` on average, up to `burst` of them at once.
    ///
    /// # Errors
    /// If the record cannot keep count of it; an interval that is no multiple of 100 ms is one reason.
    pub fn new(interval: Duration, burst: u16) -> Result<Self, InvalidBudget> {
        if !interval.as_nanos().is_multiple_of(100_000_000) {
            return Err(InvalidBudget);
        }
        Ok(Self { interval, burst, budget: Budget::new(interval, burst)? })
    }

    /// Time for one refresh.
    pub const fn interval(self) -> Duration {
        self.interval
    }

    /// Refreshes at once.
    pub const fn burst(self) -> u16 {
        self.burst
    }
}

/// `audit.*`
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// Records that are kept at the least: of acts, and as many of what was refused.
    pub max_records: usize,
}

/// `admin.*`
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// The Unix socket of a running server; none with Redis unless set.
    pub socket: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl LogFormat {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

/// Which log lines there are: these and the graver ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs an operator.
    Error,
    /// What may need one.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The level of this name.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(own, _)| *own == word).map(|(_, level)| level)
    }

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// `log.*`
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How log lines look.
    pub format: LogFormat,
    /// Which there are.
    pub level: LogLevel,
    /// How long a line below `warn` may wait for others, to be written with them. Zero: each is written by itself.
    pub linger: Duration,
}
