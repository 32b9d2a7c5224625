//! What may go wrong with keys. None of it is ever told to a client.

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
    /// No randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
}
