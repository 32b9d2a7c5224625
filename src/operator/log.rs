//! Commands about the log.

use super::command::Reply;
use super::{Done, Stop};
use crate::settings::LogLevel;
use crate::telemetry::log;

/// Shows the level, after it was changed if that is asked for.
pub(super) fn level(wanted: Option<&str>) -> Done {
    if let Some(word) = wanted {
        let level = LogLevel::of_word(word).ok_or_else(|| {
            Stop::refused(format!("{word:?} is no level: error, warn, info, debug and trace are"))
        })?;
        match log::set_level(level) {
            Some(Ok(())) => {
                tracing::warn!(event = "log_level", level = word, "the operator has set the log level");
            }
            Some(Err(reason)) => return Err(Stop::refused(reason)),
            None => {}
        }
    }
    let level = log::level()
        .ok_or_else(|| Stop::refused("no server runs here: this command is for one that does"))?;
    Ok(Reply::LogLevel { level: level.word().to_owned() })
}
