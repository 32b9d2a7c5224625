//! The log: to standard error, readable for people on a terminal, JSON lines for everything else.

mod json;
mod lines;
mod stamp;
mod text;

use std::io::{IsTerminal as _, Stderr, stderr};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogLevel, LogSettings};
use json::Json;
use lines::Lines;
use text::Text;

pub use lines::dropped;

/// Starts logging. Does nothing if somebody has done so already.
///
/// Only our own crates speak below `warn`: libraries would write what they handle into the log, and what they handle
/// here are tokens. The module `silent` of a library says nothing at all.
pub fn start(settings: &LogSettings, silent: &'static str) {
    let json = match settings.format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let filter = filter(settings.level, silent);
    let lines = Lines::to(stderr(), settings.linger);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    // The two are of different types, and so are their handles.
    if json {
        let builder = builder.event_format(Json).with_filter_reloading();
        let handle = builder.reload_handle();
        keep(builder.try_init().is_ok(), lines, settings.level, move |level| {
            handle.reload(self::filter(level, silent)).map_err(|error| error.to_string())
        });
    } else {
        let builder = builder.with_ansi(stderr().is_terminal()).event_format(Text::default());
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        keep(builder.try_init().is_ok(), lines, settings.level, move |level| {
            handle.reload(self::filter(level, silent)).map_err(|error| error.to_string())
        });
    }
}

/// Writes what of the log has not been written yet. For the end of the process.
pub fn flush() {
    if let Some(running) = RUNNING.get() {
        running.lines.flush();
    }
}

fn filter(level: LogLevel, silent: &str) -> EnvFilter {
    let level = level.word();
    EnvFilter::new(format!("warn,{silent}=off,relatch={level},relatch_domain={level},relatch_verify={level}"))
}

/// The log of this process, once it is started.
struct Running {
    lines: Lines<Stderr>,
    level: Mutex<LogLevel>,
    change: Box<dyn Fn(LogLevel) -> Result<(), String> + Send + Sync>,
}

static RUNNING: OnceLock<Running> = OnceLock::new();

fn keep(
    is_ours: bool,
    lines: Lines<Stderr>,
    level: LogLevel,
    change: impl Fn(LogLevel) -> Result<(), String> + Send + Sync + 'static,
) {
    if is_ours {
        // Whoever was first stays.
        let _ = RUNNING.set(Running { lines, level: Mutex::new(level), change: Box::new(change) });
    }
}

/// Which lines this process writes now; nothing if it keeps no log.
pub fn level() -> Option<LogLevel> {
    RUNNING.get().map(|running| *running.level.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Has other lines written, until the process ends. Nothing if it keeps no log.
///
/// # Errors
/// None that is known, in words for the operator.
pub fn set_level(level: LogLevel) -> Option<Result<(), String>> {
    let running = RUNNING.get()?;
    let mut current = running.level.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = (running.change)(level);
    if changed.is_ok() {
        *current = level;
    }
    Some(changed)
}
