//! Why the settings do not stand: always one message for the operator.

use std::fmt;

/// The settings cannot be used. The text names the key and where its value came from, says what is wrong and what
/// would be right, and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    subject: String,
    problem: String,
    right: String,
}

impl SettingsError {
    /// About a key's value, or about a whole layer.
    pub(super) fn new(
        subject: impl fmt::Display,
        problem: impl Into<String>,
        right: impl Into<String>,
    ) -> Self {
        Self { subject: subject.to_string(), problem: problem.into(), right: right.into() }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.problem, self.right)
    }
}

impl std::error::Error for SettingsError {}
