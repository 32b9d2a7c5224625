//! Why a server does not start, or does not get ready. The words are for its operator and name the key to look at.

use std::io;
use std::path::PathBuf;

use super::listen::NoListener;
use super::master_key::NoMasterKey;
use super::tls::NoCertificate;
use crate::app::Failure;
use crate::app::copy::NotCopied;
use crate::keys::error::KeysError;
use crate::keys::master::{InvalidMasterKey, InvalidMasterKeys};
use crate::keys::mint::InvalidIssuer;
use crate::store::{Away, Bearing, StoreError};

/// Why a server does not start. Each names the key to look at.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error("master_key: it is missing; `relatch key generate` makes one; give every node the same")]
    NoMasterKey,
    #[error("{key}: {source}")]
    MasterKey { key: &'static str, source: InvalidMasterKey },
    #[error("master_keys_previous: {0}")]
    MasterKeys(#[from] InvalidMasterKeys),
    #[error(transparent)]
    MasterKeyFile(#[from] NoMasterKey),
    #[error("store.url: {0}")]
    Embedded(#[from] crate::store::embedded::OpenError),
    #[error("store.url: opening the store broke off: {0}")]
    Opening(io::Error),
    #[error("store.url: {0}")]
    Redis(#[from] crate::store::redis::OpenError),
    #[error(transparent)]
    Issuer(#[from] InvalidIssuer),
    #[error("the password hashing threads do not start: {0}")]
    Hasher(io::Error),
    #[error(transparent)]
    Join(NotJoined),
    #[error(transparent)]
    Copy(NotCopied),
    #[error(transparent)]
    NoListener(#[from] NoListener),
    #[error("cannot listen: {0}")]
    Listen(io::Error),
    #[error(transparent)]
    NoCertificate(#[from] NoCertificate),
    #[error("admin.socket: {}: {source}", path.display())]
    AdminSocket { path: PathBuf, source: io::Error },
}

/// A store that belongs to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOurStore {
    /// Its tokens are another issuer's.
    #[error(
        "issuer: the store belongs to the issuer {theirs}, this server is {ours}; \
         use another store or store.key_prefix, or the issuer that it belongs to"
    )]
    Issuer {
        /// The store's.
        theirs: String,
        /// The configured one.
        ours: String,
    },
    /// Its keys are sealed under another master key.
    #[error(
        "master_key: the store was made under another master key; \
         configure that one, or list it under master_keys_previous"
    )]
    MasterKey,
    /// It has lost the marker that it had.
    #[error(
        "the store has lost its marker: it was emptied, or it is not the store that this server knew; bring the right one \
         back, or have this one taken as it is: relatch store adopt"
    )]
    Wiped,
    /// It has another marker than it had.
    #[error(
        "the store has another marker: it is not the store that this server knew; bring the right one back, or have this \
         one taken as it is: relatch store adopt"
    )]
    Another,
}

impl NotOurStore {
    /// What is wrong with a shard, if anything is.
    pub(super) const fn of(bearing: Bearing) -> Option<Self> {
        match bearing {
            Bearing::Known => None,
            Bearing::Wiped => Some(Self::Wiped),
            Bearing::Another => Some(Self::Another),
        }
    }
}

/// Why a store was not joined.
#[derive(Debug, thiserror::Error)]
pub enum NotJoined {
    /// The store fails; it may be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A process of it does not answer.
    #[error("{}", located(at, error))]
    Away {
        /// Where it should be.
        at: String,
        /// What came instead.
        error: StoreError,
    },
    /// Where the primary should be there is a replica.
    #[error(
        "{at} is a replica, which takes no writes: nothing is served from it until it is promoted, or until store.url leads to \
         the primary"
    )]
    AtReplica {
        /// Where it is.
        at: String,
    },
    /// It is not ours.
    #[error(transparent)]
    NotOurs(#[from] NotOurStore),
    /// The keys cannot be loaded or made.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The first user cannot be made.
    #[error(transparent)]
    FirstUser(#[from] Failure),
    /// The configured administrator makes no sense.
    #[error("bootstrap: {0}")]
    Bootstrap(String),
}

/// Names the address, once.
fn located(at: &str, error: &StoreError) -> String {
    let text = error.to_string();
    if text.contains(at) { text } else { format!("{at}: {text}") }
}

impl From<Away> for NotJoined {
    fn from(Away { at, error, is_replica }: Away) -> Self {
        if is_replica { Self::AtReplica { at } } else { Self::Away { at, error } }
    }
}

impl NotJoined {
    /// Whether the store may yet be joined by somebody else's doing: whoever brings back what is away, or what was lost.
    pub(super) fn may_pass(&self) -> bool {
        self.is_outage() || matches!(self, Self::NotOurs(NotOurStore::Wiped))
    }

    /// Whether it is only that the store is away.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Store(error)
            | Self::Away { error, .. }
            | Self::FirstUser(Failure::Store(error))
            | Self::Keys(KeysError::Store(error)) => {
                !matches!(error, StoreError::Corrupt(_) | StoreError::Misconfigured(_))
            }
            Self::AtReplica { .. } => true,
            _ => false,
        }
    }
}
