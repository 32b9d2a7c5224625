//! The use cases, one verb a file: each orders the I/O of one thing that a user can do.
//!
//! A use case takes a parsed request, asks the store, has [`relatch_domain`] decide, and returns a value. What is
//! expected (a refused refresh, a wrong password) is a value too; [`Failure`] is for what is not.

mod administrators;
pub mod audit;
pub mod caller;
pub mod change_password;
pub mod change_user;
pub mod check;
pub mod copy;
pub mod cutoff;
pub mod delete_user;
pub mod devices;
mod even_pace;
mod everyone;
pub mod explain;
pub mod find_user;
pub mod guesses;
mod hashing;
pub mod history;
pub mod issue;
pub mod journal;
pub mod keys;
pub mod membership;
mod newcomers;
pub mod node;
mod operation;
pub mod origin;
pub mod refresh;
pub mod register;
mod rehash;
mod repetition;
pub mod reset_password;
pub mod restore;
mod reveal;
pub mod revocations;
pub mod revoke;
pub mod session_history;
pub mod sessions;
pub mod sign_in;
pub mod sign_out;
pub mod stats;
pub mod timeline;
pub mod transfer;
mod turns;
pub mod usage;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use relatch_domain::mac::MacRing;
use relatch_domain::password_rules::PasswordRules;
use relatch_domain::policy::{RotationPolicy, SessionLimits};

use crate::ambient::{Clock, NoEntropy, Random};
use crate::keys::error::KeysError;
use crate::keys::mint::AccessTokenIssuer;
use crate::keys::password::{HashingError, PasswordHasher};
use crate::keys::ring::KeyRing;
use crate::keys::service::Keys;
use crate::store::{Store, StoreError};

/// Everything a use case needs. Each worker has its own, with its own handle of the store.
pub struct App {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The signing keys.
    pub keys: Arc<Keys>,
    /// The keys of refresh tokens.
    pub macs: Arc<MacRing>,
    /// Checks and makes password hashes.
    pub hasher: Arc<PasswordHasher>,
    /// Who issues access tokens, for whom and for how long.
    pub issuer: Arc<AccessTokenIssuer>,
    /// What all workers share.
    pub node: Arc<node::NodeState>,
    /// What the operator has chosen.
    pub policy: Policy,
    /// The node's clock: for access tokens that are verified without the store.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Random,
}

/// What the operator may choose about the use cases.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How refresh tokens rotate.
    pub rotation: RotationPolicy,
    /// How many guesses of passwords are allowed; without a limit if not said.
    pub guesses: Option<guesses::GuessLimits>,
    /// How often users sign in, and strangers make accounts; without a limit if not said.
    pub usage: Option<usage::UsageLimits>,
    /// How many sessions a user may have.
    pub limits: SessionLimits,
    /// How long before its end a check renews an access token in a cookie. None: never.
    pub sliding: Option<Duration>,
    /// How long a key signs before the next one takes its place by itself. None: it never does.
    pub rotate_keys_after: Option<Duration>,
    /// Whether a refresh needs the access token too: the pair check.
    pub require_access_token: bool,
    /// What new passwords must be.
    pub password_rules: PasswordRules,
    /// How long a reset token is good.
    pub reset_ttl: Duration,
    /// A password change needs a sign-in newer than this.
    pub reauthentication_age: Duration,
    /// Whether strangers may make accounts for themselves.
    pub registration: bool,
    /// How many audit records each trail keeps at the least.
    pub audit_keep: usize,
}

/// Why a use case could not be carried out. The text is for operators; no client ever sees it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server has not yet been able to load its keys.
    #[error("no signing keys yet")]
    NotReady,
    /// Too many passwords are being hashed; it may be tried again after this time.
    #[error("the password hashing queue is full")]
    Busy(Duration),
    /// A token was signed by a key that is not known here, and may be a new one of ours.
    #[error("a token names a key that this node does not have; it looks for such keys once a second")]
    UnknownKey,
    /// The state changed under our hands each time we tried.
    #[error("gave up after several tries against concurrent changes")]
    Contended,
    /// Something is broken that should not be.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<NoEntropy> for Failure {
    fn from(error: NoEntropy) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => Self::Store(error),
            KeysError::NoActiveKey => Self::NotReady,
            KeysError::NotLookedFor => Self::UnknownKey,
            KeysError::Contended => Self::Contended,
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<HashingError> for Failure {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy(again) => Self::Busy(again),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// How often a use case tries again when the state changed between its reading and its writing.
const ROUNDS: usize = 3;

impl App {
    /// The keys as they are now.
    pub(crate) fn ring(&self) -> Result<Arc<KeyRing>, Failure> {
        self.keys.snapshot().ok_or(Failure::NotReady)
    }

    /// Loads the keys, unless they are there already. A server follows them by itself; the command line, alone on a
    /// store, seldom needs them.
    ///
    /// # Errors
    /// If the store fails or has no keys yet.
    pub async fn load_keys_once(&self) -> Result<(), Failure> {
        if self.keys.snapshot().is_none() {
            self.keys.reload(&*self.store, self.clock.now()).await?;
        }
        Ok(())
    }
}
