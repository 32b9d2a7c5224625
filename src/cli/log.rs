//! `relatch log`: the log of the running server.

use clap::{Args, Subcommand};

use super::door::{ask_server, unexpected};
use super::{Failure, Surroundings};
use crate::operator::{Command as Ask, Reply};
use crate::startup::block_on;

#[derive(Debug, Args)]
pub(super) struct Log {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the log level of the running server, or change it until the server is restarted.
    #[command(after_help = "Examples:
  relatch log level                       what is it?
  relatch log level debug                 look closer; no token and no password is logged at any level
  relatch log level info

For good, set log.level.")]
    Level {
        /// error, warn, info, debug or trace.
        #[arg(value_name = "LEVEL")]
        level: Option<String>,
    },
}

pub(super) fn run(log: Log, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let Command::Level { level } = log.command;
    let settings = surroundings.load()?.settings;
    match block_on(ask_server(&settings, Ask::LogLevel { level }, "one that starts goes by log.level"))? {
        Reply::LogLevel { level } => Ok(writeln!(surroundings.out, "{level}")?),
        other => Err(unexpected(other)),
    }
}
