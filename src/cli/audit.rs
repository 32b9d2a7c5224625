//! `relatch audit`: who did what to whom, from where and when.

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use relatch_domain::event::Event;
use serde_json::Value;

use super::door::{Door, unexpected};
use super::print::{Table, json_line, or_dash};
use super::{Failure, Surroundings};
use crate::operator::{ActorRow, AuditFilter, AuditRow, Command, Reply};
use crate::startup::block_on;

/// How many records are asked for at a time.
const PAGE: usize = 200;
/// How often `--follow` looks for new records.
const FOLLOW: Duration = Duration::from_secs(1);
/// How many of the latest records `--follow` looks at to find those that are new.
const FOLLOW_PAGE: usize = 100;

const EXAMPLES: &str = "Of refreshes only what is suspicious is here; every one is in the log.

Examples:
  relatch audit tail
  relatch audit tail --user ada -n 50     what became of ada?
  relatch audit tail --actor operator     what was done at the command line?
  relatch audit tail --follow --event sign_in_failed --json";

#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the latest audit records, the last one at the bottom.
    #[command(after_help = after_help())]
    Tail(Tail),
}

#[derive(Debug, Args)]
struct Tail {
    /// How many records.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: u32,
    /// Go on with new records as they come, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// Only this event.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Only what was done to this user.
    #[arg(long, value_name = "NAME|ID")]
    user: Option<String>,
    /// Only what was done by this user, or by anybody of a kind: anonymous, user, operator (the command line), server.
    #[arg(long, value_name = "NAME|ID|KIND")]
    actor: Option<String>,
    /// Print JSON, one object on each line, with everything that is known.
    #[arg(long)]
    json: bool,
}

/// With the events that there are, so that none is forgotten.
fn after_help() -> String {
    let mut lines = vec!["Events:".to_owned()];
    for name in Event::NAMES {
        match lines.last_mut() {
            Some(line) if line.len() + name.len() < 100 => *line = format!("{line} {name}"),
            _ => lines.push(format!("  {name}")),
        }
    }
    format!("{}\n{EXAMPLES}", lines.join("\n"))
}

pub(super) fn run(command: Audit, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let settings = surroundings.load()?.settings;
    let Action::Tail(tail) = command.action;
    block_on(async { Tailing::begin(&Door::find(&settings).await?, tail, surroundings.out).await })
}

struct Tailing<'a> {
    door: &'a Door,
    filter: AuditFilter,
    /// None for JSON.
    table: Option<Table>,
    out: &'a mut dyn Write,
}

impl<'a> Tailing<'a> {
    async fn begin(door: &'a Door, tail: Tail, out: &'a mut dyn Write) -> Result<(), Failure> {
        let Tail { lines, follow, event, user, actor, json } = tail;
        if follow && !door.is_shared() {
            let why = "no server is running, and without one nothing can happen: leave --follow out";
            return Err(Failure::NotDone(why.to_owned()));
        }
        let headers = &["TIME", "EVENT", "WHO", "WHOM", "FROM", "DETAILS"];
        let table = (!json).then(|| Table::new(headers));
        let mut tailing = Tailing { door, filter: AuditFilter { event, user, actor }, table, out };
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        let mut latest = tailing.latest(if follow { lines.max(FOLLOW_PAGE) } else { lines }).await?;
        let known = latest.iter().map(identity).collect();
        latest.truncate(lines);
        tailing.write(latest)?;
        if follow { tailing.follow(known).await } else { Ok(()) }
    }

    /// The latest records, the latest first.
    async fn latest(&self, count: usize) -> Result<Vec<AuditRow>, Failure> {
        let (mut found, mut before) = (Vec::new(), None);
        while found.len() < count {
            let (records, next) = self.page(before, PAGE.min(count - found.len())).await?;
            found.extend(records);
            match next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        Ok(found)
    }

    /// Writes what comes, until the command is interrupted. New is what was not among the latest records the last time;
    /// what other nodes did may come in late, by their clocks.
    async fn follow(&mut self, mut known: HashSet<String>) -> Result<(), Failure> {
        loop {
            tokio::time::sleep(FOLLOW).await;
            let latest = self.latest_back_to(&known).await?;
            let seen = std::mem::replace(&mut known, latest.iter().map(identity).collect());
            let new = latest.into_iter().filter(|record| !seen.contains(&identity(record)));
            self.write(new.collect())?;
        }
    }

    /// The latest records, the latest first, so many that one that is known already is among them.
    async fn latest_back_to(&self, known: &HashSet<String>) -> Result<Vec<AuditRow>, Failure> {
        let (mut latest, mut before) = (Vec::new(), None);
        loop {
            let (records, next) = self.page(before, FOLLOW_PAGE).await?;
            let far_enough =
                records.len() < FOLLOW_PAGE || records.iter().any(|record| known.contains(&identity(record)));
            latest.extend(records);
            match next {
                Some(next) if !far_enough => before = Some(next),
                _ => return Ok(latest),
            }
        }
    }

    async fn page(
        &self,
        before: Option<String>,
        limit: usize,
    ) -> Result<(Vec<AuditRow>, Option<String>), Failure> {
        let command = Command::AuditPage { filter: self.filter.clone(), before, limit };
        match self.door.ask(command).await? {
            Reply::Audit { records, next } => Ok((records, next)),
            other => Err(unexpected(other)),
        }
    }

    /// Writes records that came the latest first, the latest last.
    fn write(&mut self, mut records: Vec<AuditRow>) -> Result<(), Failure> {
        records.reverse();
        match &mut self.table {
            Some(table) => table.rows(&records.iter().map(cells).collect::<Vec<_>>(), self.out)?,
            None => records.iter().try_for_each(|record| json_line(self.out, record))?,
        }
        Ok(self.out.flush()?)
    }
}

/// What tells a record from every other one: all of it.
fn identity(record: &AuditRow) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn cells(record: &AuditRow) -> Vec<String> {
    let session = record.session.as_ref().map(|session| format!("session={session}"));
    // Whom it was about has a column.
    let details = record.details.iter().filter(|(name, _)| *name != "username");
    let details = details.map(|(name, value)| detail(name, value)).chain(session);
    vec![
        record.at.clone(),
        record.event.clone(),
        who(&record.actor),
        or_dash(record.username.as_deref().or(record.user.as_deref())),
        or_dash(record.address.as_deref()),
        or_dash(Some(&details.collect::<Vec<_>>().join(" "))),
    ]
}

/// Who is not a user has a space in it, which no user's name can have: nobody may call himself the operator.
fn who(actor: &ActorRow) -> String {
    match (&actor.username, &actor.user, actor.kind.as_str()) {
        (Some(name), ..) => name.clone(),
        (None, Some(id), _) => id.clone(),
        (None, None, "anonymous") => "not signed in".to_owned(),
        (None, None, kind) => format!("the {kind}"),
    }
}

fn detail(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    }
}
