//! `relatch store`: the store itself.

use clap::{Args, Subcommand};

use super::door::{ask_server, unexpected};
use super::{Failure, Surroundings};
use crate::operator::{Command as Ask, Reply};
use crate::startup::block_on;

#[derive(Debug, Args)]
pub(super) struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Have the running server take its Redis as it is, although it is not the store that the server knew.
    #[command(
        after_help = "A server that finds its Redis emptied, or another one in its place, serves nothing from it: it would tell
everybody that they are signed out. Bring the right Redis back, and it goes on by itself. If what you see is what you
want, this command says so; whoever has no session there is signed out then.

An emptied Redis gets the marker of the store that it was: one server is enough. Another store is taken only if it is
of the same issuer and master key; then each server has to be told."
    )]
    Adopt,
}

/// What it means for this command that no server runs.
const INSTEAD: &str = "one that starts takes the store as it finds it";

pub(super) fn run(store: &Store, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let Command::Adopt = store.command;
    let settings = surroundings.load()?.settings;
    let (store_id, how) = match block_on(ask_server(&settings, Ask::StoreAdopt, INSTEAD))? {
        Reply::StoreAdopted { store_id, how } => (store_id, how),
        other => return Err(unexpected(other)),
    };
    let what = match how.as_str() {
        "known" => "is the store that the server serves from",
        "marked" => "has its marker again and is served from",
        _ => "is the store that the server serves from now",
    };
    Ok(writeln!(surroundings.out, "{store_id} {what}")?)
}
