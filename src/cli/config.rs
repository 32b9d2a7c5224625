//! `relatch config`: what is in effect, and whether it holds together.

use clap::{Args, Subcommand};

use super::{Failure, Surroundings};
use crate::settings;

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every setting with its value (secrets masked) and where that came from.
    Show {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print ok, or what is wrong.
    Check,
}

pub(super) fn run(config: &Config, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let loaded = surroundings.load()?;
    match config.command {
        Command::Show { json: true } => writeln!(surroundings.out, "{:#}", settings::show_json(&loaded))?,
        Command::Show { json: false } => surroundings.out.write_all(settings::show(&loaded).as_bytes())?,
        Command::Check => writeln!(surroundings.out, "ok")?,
    }
    Ok(surroundings.out.flush()?)
}
