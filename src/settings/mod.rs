//! Settings: layers of names and values, turned once into typed settings that hold together.
//!
//! Later layers win: the defaults in `config/default.toml`, the operator's file, `RELATCH__SECTION__KEY` variables.
//! Whatever is wrong with them is one [`SettingsError`] that names the key, the layer and what would be right. The
//! environment is handed in, so that a test can have its own.

mod assemble;
mod contradictions;
mod environment;
mod error;
mod file;
mod keys;
mod layers;
mod model;
mod network;
mod parse;
mod show;
mod store_url;

use std::path::Path;

pub use environment::of_process;
pub use error::SettingsError;
pub use model::{
    AccessTokenSettings, AdminSettings, BootstrapSettings, HttpSettings, LogFormat, LogLevel, LogSettings,
    OpsSettings, PasswordSettings, RateLimitSettings, RefreshBudget, RefreshTokenSettings,
    RegistrationSettings, SessionSettings, Settings, StoreLogin, StoreSettings, TlsSettings,
};
pub use network::{Issuer, Listen, WebOrigin};
pub use show::{show, show_json};
pub use store_url::{RedisForm, RedisUrl, StoreUrl};

/// Settings that stand, and what there is to say about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What the operator should know, although it stops nothing. Without secrets.
    pub warnings: Vec<String>,
    /// Of every key, in the order in which they are shown.
    origins: Vec<(&'static str, String)>,
}

/// Loads the settings from the defaults, a file and environment variables (those of other programs are ignored).
///
/// # Errors
/// On the first unknown key, wrong value or contradiction, and if a file cannot be read.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, SettingsError> {
    let mut near_misses = Vec::new();
    let layers = layers::Merged::collect(
        file,
        variables.into_iter().inspect(|(name, _)| near_misses.extend(environment::near_miss(name))),
    )?;
    let settings = assemble::assemble(&layers)?;
    contradictions::refuse(&settings, &layers)?;
    let mut warnings = contradictions::warnings(&settings, &layers);
    warnings.append(&mut near_misses);
    Ok(Loaded { settings, warnings, origins: layers.origins() })
}

#[cfg(test)]
mod tests;
