//! `relatch key`: keys.

use clap::{Args, Subcommand};

use super::{Failure, Surroundings};
use crate::ambient::Random;
use crate::keys::master::MasterKey;

#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new master key, for `master_key` of the configuration.
    Generate,
}

pub(super) fn run(key: &Key, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    match key.command {
        Command::Generate => {
            let key = MasterKey::generate(Random).map_err(|error| Failure::NotDone(error.to_string()))?;
            writeln!(surroundings.out, "{}", key.to_base64().as_str())?;
        }
    }
    Ok(())
}
