//! `relatch session`: who is signed in where, and the end of it.

use std::io::Write;

use clap::{ArgGroup, Args, Subcommand};
use relatch_domain::UnixMillis;

use super::door::{Door, ask, unexpected};
use super::print::{Table, counted, json_line, or_dash};
use super::{Failure, Surroundings};
use crate::ambient::{Clock as _, SystemClock};
use crate::operator::{Command, Reply, RevokeTarget, SessionRow};
use crate::rfc3339;
use crate::startup::block_on;

/// How many sessions are asked for at a time.
const PAGE: usize = 200;

#[derive(Debug, Args)]
pub(super) struct Session {
    #[command(subcommand)]
    action: Action,
    /// Print JSON: one object, or one on each line of a list.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the sessions of a user, the latest sign-in first.
    #[command(after_help = "Examples:
  relatch session list ada
  relatch session list ada --all     why was she signed out?
  relatch session list ada --json | jq -r .session_id")]
    List {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
        /// Those that are over too: when and why they ended, and what was noted about it. They are remembered for a
        /// while.
        #[arg(long)]
        all: bool,
    },
    /// Say why a session ended, in words that can be read to its user, and what happened to it.
    #[command(
        after_help = "The session's id is in `relatch session list NAME --all`, and the app has it from its sign-in. What the
store has forgotten is looked for in the audit trail.

Example:
  relatch session explain AZ8Xp0bIeJ2H5y3K7d1mTQGfF6vL1HkJp2cVx0aQ9bY"
    )]
    Explain {
        /// The session.
        #[arg(value_name = "SESSION_ID")]
        session: String,
    },
    /// End sessions: no refresh of them succeeds afterwards.
    #[command(group = ArgGroup::new("which").required(true).multiple(false))]
    #[command(
        after_help = "Access tokens that are out already stay good until they expire, for whoever verifies them
without asking the server.

Examples:
  relatch session revoke AZ8Xp0bIeJ2H5y3K7d1mTQGfF6vL1HkJp2cVx0aQ9bY --reason 'lost phone'
  relatch session revoke --user ada
  relatch session revoke --token-stdin < token.txt
  relatch session revoke --signed-in-before 2026-11-21T10:33:51Z --reason 'the backup leaked'
  relatch session revoke --signed-in-before now --yes"
    )]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Revoke {
    /// The session, as `relatch session list` shows it.
    #[arg(group = "which")]
    session_id: Option<String>,
    /// All sessions of a user, by name or id.
    #[arg(long, group = "which", value_name = "NAME|ID")]
    user: Option<String>,
    /// The session of a refresh token or access token, read from standard input. It may have expired.
    #[arg(long, group = "which")]
    token_stdin: bool,
    /// All sessions of an OAuth client that have begun by now, of all users. The first-party client is called relatch.
    #[arg(long, group = "which", value_name = "ID")]
    client: Option<String>,
    /// Everyone who signed in before this time (RFC 3339 to the millisecond, or now). On a terminal you are asked once more.
    #[arg(long, group = "which", value_name = "TIME", value_parser = point_in_time)]
    signed_in_before: Option<UnixMillis>,
    /// With --signed-in-before: do not ask.
    #[arg(long)]
    yes: bool,
    /// A note on why, for operators and administrators; at most 256 characters.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn run(command: Session, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let settings = surroundings.load()?.settings;
    let json = command.json;
    match command.action {
        Action::List { user, all } => {
            block_on(async { list(&Door::find(&settings).await?, user, all, json, surroundings.out).await })
        }
        Action::Explain { session } => {
            let reply = block_on(ask(&settings, Command::SessionExplain { session }))?;
            explained(reply, json, surroundings.out)
        }
        Action::Revoke(revoke) => {
            let (target, reason) = (target(&revoke, &mut surroundings)?, revoke.reason);
            let reply = block_on(ask(&settings, Command::SessionRevoke { target, reason }))?;
            ended(reply, json, surroundings.out)
        }
    }
}

fn explained(reply: Reply, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let explanation = match reply {
        Reply::Explained { explanation } => explanation,
        other => return Err(unexpected(other)),
    };
    if json {
        return Ok(json_line(out, &explanation)?);
    }
    writeln!(out, "{}", explanation.summary)?;
    if !explanation.story.is_empty() {
        writeln!(out)?;
    }
    Ok(explanation.story.iter().try_for_each(|line| writeln!(out, "  {line}"))?)
}

/// RFC 3339, or `now`: the second in which we are, for the store's clock may be a little behind ours.
fn point_in_time(text: &str) -> Result<UnixMillis, String> {
    if text == "now" {
        return Ok(SystemClock.now().seconds().millis());
    }
    rfc3339::parse_up(text).ok_or_else(|| "write it like 2026-11-21T10:33:51Z, or now".to_owned())
}

fn target(revoke: &Revoke, surroundings: &mut Surroundings<'_>) -> Result<RevokeTarget, Failure> {
    if revoke.yes && revoke.signed_in_before.is_none() {
        return Err(Failure::WrongUse(
            "--yes goes with --signed-in-before: nothing else is asked about".to_owned(),
        ));
    }
    Ok(match revoke {
        Revoke { session_id: Some(id), .. } => RevokeTarget::Session(id.clone()),
        Revoke { user: Some(user), .. } => RevokeTarget::User(user.clone()),
        Revoke { client: Some(client), .. } => RevokeTarget::Client(client.clone()),
        Revoke { signed_in_before: Some(cutoff), yes, .. } => {
            if !yes {
                let question =
                    format!("This signs out everyone who signed in before {}.", rfc3339::exact(*cutoff));
                surroundings.input.confirm(&question, "everyone", surroundings.err)?;
            }
            RevokeTarget::SignedInBefore(cutoff.0)
        }
        _ => RevokeTarget::Token(surroundings.input.token()?),
    })
}

fn ended(reply: Reply, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    match reply {
        Reply::Revoked { revoked_sessions } if json => {
            json_line(out, &serde_json::json!({ "revoked_sessions": revoked_sessions }))?;
        }
        Reply::CutoffRaised { cutoff, .. } if json => {
            json_line(out, &serde_json::json!({ "cutoff": cutoff }))?;
        }
        Reply::CutoffRaised { client: None, cutoff } => {
            writeln!(out, "everyone who signed in before {cutoff} is signed out")?;
        }
        Reply::CutoffRaised { client: Some(client), cutoff } => {
            writeln!(out, "everyone who signed in by the client {client} before {cutoff} is signed out")?;
        }
        Reply::Revoked { revoked_sessions: 0 } => writeln!(out, "no live session; nothing to end")?,
        Reply::Revoked { revoked_sessions } => {
            writeln!(out, "{} ended", counted(revoked_sessions, "session"))?;
        }
        other => return Err(unexpected(other)),
    }
    Ok(())
}

async fn list(door: &Door, user: String, all: bool, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::new(if all {
        &[
            "SESSION",
            "STATE",
            "DEVICE",
            "AGENT",
            "ADDRESS",
            "SIGNED IN",
            "LAST SEEN",
            "ENDED",
            "REASON",
            "NOTE",
        ]
    } else {
        &["SESSION", "DEVICE", "AGENT", "ADDRESS", "SIGNED IN", "LAST SEEN"]
    });
    let mut after = None;
    loop {
        let command = Command::SessionList { user: user.clone(), all, after, limit: PAGE };
        let (sessions, next) = match door.ask(command).await? {
            Reply::Sessions { sessions, next } => (sessions, next),
            other => return Err(unexpected(other)),
        };
        if json {
            sessions.iter().try_for_each(|session| json_line(out, session))?;
        } else {
            let rows: Vec<_> = sessions.iter().map(|session| cells(session, all)).collect();
            table.rows(&rows, out)?;
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

fn cells(session: &SessionRow, all: bool) -> Vec<String> {
    let text = |text: &Option<String>| or_dash(text.as_deref());
    let mut cells = vec![session.session_id.clone()];
    if all {
        cells.push(session.state.clone());
    }
    cells.extend([text(&session.device_name), text(&session.user_agent), text(&session.address)]);
    cells.extend([session.signed_in_at.clone(), session.last_seen_at.clone()]);
    if all {
        let ended = session.ended.as_ref();
        let of = |part: fn(&crate::operator::EndRow) -> Option<&str>| or_dash(ended.and_then(part));
        cells.extend([
            of(|end| end.at.as_deref()),
            of(|end| Some(&end.reason)),
            of(|end| end.note.as_deref()),
        ]);
    }
    cells
}
