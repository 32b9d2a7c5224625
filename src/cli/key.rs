//! `relatch key`: keys.

use std::io::Write;

use clap::{Args, Subcommand};

use super::door::{ask, unexpected};
use super::print::{Table, json_line, or_dash};
use super::{Failure, Surroundings};
use crate::ambient::Random;
use crate::keys::master::MasterKey;
use crate::operator::{Command as Ask, KeyRow, Reply};
use crate::startup::block_on;

#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new master key, for `master_key` of the configuration.
    #[command(after_help = "Example:
  export RELATCH__MASTER_KEY=$(relatch key generate)     keep it: every node needs the same")]
    Generate,
    /// List the keys that sign access tokens, those that no longer do and the one that will too.
    #[command(
        after_help = "A key is next (published already; signs from the next rotation on), active (signs new tokens), \
retired
(signs no more; what it signed is good) or revoked. A retired key is published as long as its tokens live. Retired and
revoked ones are kept as long as a session with a token of theirs may live, and then removed."
    )]
    List {
        /// Print JSON, one object on each line.
        #[arg(long)]
        json: bool,
    },
    /// Sign access tokens with the next key from now on. The one before it is retired: what it signed stays good.
    #[command(
        after_help = "Nobody is signed out, and API servers that check tokens by themselves know the key already: it was \
published
at /.well-known/jwks.json since the rotation before. Another key is published to be next.
While 16 retired keys are published, there is no room for another: only --revoke is carried out."
    )]
    Rotate {
        /// A key that has leaked: what it signed is good no more. Clients refresh and go on; nobody is signed out.
        // One id in sixty-four begins with a hyphen.
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        revoke: Option<String>,
        /// Print the key as a JSON object.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(key: &Key, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    match &key.command {
        Command::Generate => {
            let key = MasterKey::generate(Random).map_err(|error| Failure::NotDone(error.to_string()))?;
            writeln!(surroundings.out, "{}", key.to_base64().as_str())?;
            Ok(())
        }
        &Command::List { json } => {
            let settings = surroundings.load()?.settings;
            match block_on(ask(&settings, Ask::KeyList))? {
                Reply::Keys { keys } => list(&keys, json, surroundings.out),
                other => Err(unexpected(other)),
            }
        }
        Command::Rotate { revoke, json } => {
            let settings = surroundings.load()?.settings;
            match block_on(ask(&settings, Ask::KeyRotate { revoke: revoke.clone() }))? {
                Reply::Key { key } if *json => Ok(json_line(surroundings.out, &key)?),
                Reply::Key { key } => {
                    writeln!(surroundings.out, "{} ({}) signs from now on", key.kid, key.algorithm)?;
                    revoke.iter().try_for_each(|kid| Ok(writeln!(surroundings.out, "{kid} is revoked")?))
                }
                other => Err(unexpected(other)),
            }
        }
    }
}

fn list(keys: &[KeyRow], json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return Ok(keys.iter().try_for_each(|key| json_line(out, key))?);
    }
    let cells = |key: &KeyRow| {
        let state = if key.signs { format!("{} (signs)", key.state) } else { key.state.clone() };
        let retired_at = or_dash(key.retired_at.as_deref());
        vec![key.kid.clone(), key.algorithm.clone(), state, key.created_at.clone(), retired_at]
    };
    let mut table = Table::new(&["KEY", "ALGORITHM", "STATE", "CREATED", "RETIRED"]);
    Ok(table.rows(&keys.iter().map(cells).collect::<Vec<_>>(), out)?)
}
