//! The log: to standard error, readable for people on a terminal, JSON lines for everything else.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::settings::{LogFormat, LogLevel, LogSettings};

/// Starts logging. Does nothing if somebody has done so already.
///
/// Only our own crates speak below `warn`: libraries would write what they handle into the log, and what they handle
/// here are tokens. The module `silent` of a library says nothing at all.
pub fn start(settings: &LogSettings, silent: &str) {
    let level = match settings.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::new(format!(
        "warn,{silent}=off,relatch={level},relatch_domain={level},relatch_verify={level}"
    ));
    let json = match settings.format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    let started = if json {
        builder.json().flatten_event(true).with_span_list(false).with_timer(SystemTime).try_init()
    } else {
        builder.with_timer(SystemTime).with_ansi(stderr().is_terminal()).try_init()
    };
    drop(started);
}
