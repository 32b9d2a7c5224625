//! `relatch store`: the store itself.

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::door::{ask_server, unexpected};
use super::print::counted;
use super::{Failure, Surroundings};
use crate::app::copy::Copied;
use crate::operator::{Command as Ask, Reply};
use crate::settings::StoreUrl;
use crate::startup::{block_on, copy_store};

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
    /// Copy a store into an empty one: from the embedded store to Redis, back, or as a backup.
    #[command(
        after_help = "Users, sessions, signing keys, the cutoffs, the audit trail and the log of revocations are copied, and
nobody is signed out; counts of failed sign-ins begin anew. Stop all servers on both stores first: what is signed in,
rotated or revoked meanwhile may be missing. The server on the copy needs the same `issuer` and `master_key`; with
the embedded store the latter is in `master.key` beside the file.

A copy that broke off is not served from; the same command goes on with it. Login, certificates, prefix and time limits
of a Redis are those of the configuration.

Examples:
  relatch store copy --to redb:backup/relatch.redb              the configured store into a file
  relatch store copy --from redb:data/relatch.redb              a file into the configured Redis"
    )]
    Copy(Copy),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Copy {
    /// The URL of the store that is read. The configured one, if not given.
    #[arg(long, value_name = "URL", value_parser = StoreUrl::told, env = "RELATCH_COPY_FROM", hide_env_values = true)]
    from: Option<StoreUrl>,
    /// The URL of the store that is written. The configured one, if not given.
    #[arg(long, value_name = "URL", value_parser = StoreUrl::told, env = "RELATCH_COPY_TO", hide_env_values = true)]
    to: Option<StoreUrl>,
}

/// What it means for this command that no server runs.
const INSTEAD: &str = "one that starts takes the store as it finds it";

pub(super) fn run(store: &Store, surroundings: Surroundings<'_>) -> Result<(), Failure> {
    match &store.command {
        Command::Adopt => adopt(surroundings),
        Command::Copy(urls) => copy(urls, surroundings),
    }
}

fn adopt(mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
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

fn copy(urls: &Copy, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let settings = surroundings.load()?.settings;
    let (from, to) =
        (urls.from.as_ref().unwrap_or(&settings.store.url), urls.to.as_ref().unwrap_or(&settings.store.url));
    let bar = bar();
    let progress = |copied: &Copied, users: u64| {
        bar.set_length(users);
        bar.set_position(copied.users as u64);
        bar.set_message(counted(copied.sessions, "session"));
    };
    let copied = block_on(copy_store(&settings, from, to, progress));
    bar.finish_and_clear();
    let Copied { users, sessions, keys, audit_records, revocations } = copied?;
    let (users, sessions) = (counted(users, "user"), counted(sessions, "session"));
    let (keys, records) = (counted(keys, "signing key"), counted(audit_records, "audit record"));
    let revocations = counted(revocations, "revocation");
    writeln!(
        surroundings.out,
        "{to} has {users}, {sessions}, {keys}, {records} and {revocations} of {from}"
    )?;
    Ok(())
}

/// Drawn on standard error, if that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    // The template is right; were it not, the default would do.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} users, {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar
}
