//! Settings in environment variables.

use super::error::SettingsError;
use super::keys::{self, VARIABLE_PREFIX};
use super::layers::{self, Layer};

/// The layer of the environment. Other programs' variables are none of our business; of ours, each must be known.
pub(super) fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Layer, SettingsError> {
    let mut layer = Layer::default();
    for (variable, value) in variables {
        if !variable.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let origin = origin(&variable);
        let name = keys::name_of_variable(&variable)
            .ok_or_else(|| layers::unknown(&keys::guess_of_variable(&variable), Some(&variable), &origin))?;
        layer.add(&name, Some(&variable), value.into(), &origin)?;
    }
    Ok(layer)
}

/// The origin of what a variable says.
pub(super) fn origin(variable: &str) -> String {
    format!("environment variable {variable}")
}

/// The process's own variables that may concern us.
///
/// # Errors
/// If one of them is not UTF-8.
pub fn of_process() -> Result<Vec<(String, String)>, SettingsError> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with("RELATCH_") {
            continue;
        }
        let value = value.into_string().map_err(|_| {
            SettingsError::new(
                format_args!("environment variable {name}"),
                "is not UTF-8",
                "write it in UTF-8",
            )
        })?;
        variables.push((name, value));
    }
    Ok(variables)
}

/// A warning about a variable that would be a key's if it had two underscores for one. It is not an error: container
/// platforms set variables that begin with RELATCH_ for a service of that name.
pub(super) fn near_miss(name: &str) -> Option<String> {
    if name.starts_with(VARIABLE_PREFIX) {
        return None;
    }
    let intended = keys::KEYS
        .iter()
        .map(|key| keys::variable(key.name))
        .find(|variable| variable.replace("__", "_") == name.replace("__", "_"))?;
    Some(format!("environment variable {name} has no effect; did you mean {intended}?"))
}
