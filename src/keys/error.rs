//! What may go wrong with keys. None of it is ever told to a client.

use std::time::Duration;

use crate::ambient::NoEntropy;
use crate::store::StoreError;

/// Keys could not be loaded, made or stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key was sealed under a master key that this node does not have.
    #[error(
        "signing key {kid:?} is sealed under the master key with the check value {check_value:?}, which is not \
         configured: add that master key to master_keys_previous"
    )]
    UnknownMasterKey {
        /// The signing key.
        kid: String,
        /// Check value of the master key that would open it.
        check_value: String,
    },
    /// A stored signing key cannot be read.
    #[error("stored signing key {kid:?} cannot be read: {problem}")]
    Corrupt {
        /// The signing key.
        kid: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no key to sign with.
    #[error("the store holds no active signing key")]
    NoActiveKey,
    /// Other nodes changed the keys every time that this one was about to.
    #[error("the signing keys were changed by others again and again")]
    Contended,
    /// Unknown keys have just been looked for, and this one was not among them.
    #[error("a token names a key that this node does not have; it looks for such keys once a second")]
    NotLookedFor,
    /// So many keys have retired lately that one more would make the key set too long. After this time there is room.
    #[error("too many keys were retired lately; there is room for one more in {} s", .0.as_secs())]
    NoRoom(Duration),
    /// No randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
}
