//! What may go wrong with a store. An error says what the caller may do, not what broke.

/// A store's failure. The text is for operators; no client ever sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The step was not applied. It may be tried again later.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The step may have been applied: the connection broke or the time ran out after it was sent.
    #[error("store did not answer, the step may have been applied: {0}")]
    Indeterminate(String),
    /// The step was not applied, and will not be as the settings are: a wrong password, database or certificate, or
    /// another kind of server. The text names the setting.
    #[error("{0}")]
    Misconfigured(String),
    /// What the store holds cannot be read. Trying again does not help.
    #[error("store holds what cannot be read: {0}")]
    Corrupt(String),
}
