//! `relatch user import` and `relatch user export`: many users, one on each line.

mod records;

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relatch_domain::user::Username;
use serde::Serialize;

use self::records::{Format, MAX_LEN, Records};
use super::door::{Door, unexpected};
use super::print::{counted, json_line, shown};
use super::{Failure, Surroundings};
use crate::files;
use crate::keys::password::PasswordHash;
use crate::operator::{Command, LineOutcome, Reply, UserLine};
use crate::settings::Settings;
use crate::startup::block_on;

/// Lines that go to the server together.
const MAX_BATCH: usize = 200;
/// Bytes that go to the server together: what it fills in must fit, too.
const MAX_BATCH_BYTES: usize = 32 * 1024;
/// Users that are asked for together.
const PAGE: usize = 500;

#[derive(Debug, Args)]
#[command(after_help = "Each line of FILE is a JSON object. Only `username` is needed:
  {\"username\":\"ada\",\"password_hash\":\"$2b$12$…\",\"roles\":[\"user\"],\"attributes\":{\"tenant\":\"acme\"},
   \"disabled\":false,\"id\":\"01a1fdab-6a07-786f-997e-d0ae0e2646b6\"}            (all on one line)
Or FILE is CSV, if its name ends in .csv or by --format csv. The first line names the columns, in any order:
  username,password_hash,roles,disabled,id,attr.NAME
Roles have spaces between them. A field with a comma in it, as an Argon2 hash, stands in double quotes.

Hashes, as the other system has stored them: bcrypt ($2a$, $2b$, $2y$, $bcrypt-sha256$), Argon2 ($argon2id$,
$argon2i$, $argon2d$), PBKDF2 and scrypt of passlib, Django and Werkzeug, Django's bcrypt$, bcrypt_sha256$ and
argon2$, those of ASP.NET Core Identity, and Firebase's as $firescrypt$. At the user's next sign-in each is replaced.
Without a hash nobody can sign in until `relatch user passwd`.

A user who is there already, by id or with the same hash, is passed over: an import that broke off is repeated, or
goes on with --from-line. Lines that are refused are listed on standard output, and the exit code is 1.

Examples:
  relatch user import users.jsonl --dry-run
  relatch user import users.csv > report.txt
  ssh old relatch user export | relatch user import -")]
pub(super) struct Import {
    /// The file; `-` stands for standard input.
    file: PathBuf,
    /// How FILE is written. By default its name says it: CSV if that ends in .csv, otherwise JSON lines.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Only say what would come of it.
    #[arg(long)]
    dry_run: bool,
    /// Begin with this line; the first is 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
}

/// What came of all lines.
#[derive(Debug, Default, Serialize)]
struct Summary {
    added: usize,
    already_there: usize,
    refused: usize,
    dry_run: bool,
    /// How many of those that were added have a hash that the next sign-in replaces, by kind.
    replaced_at_sign_in: BTreeMap<&'static str, usize>,
}

/// A line that is refused, for `--json`.
#[derive(Serialize)]
struct RefusedLine<'a> {
    line: u64,
    username: Option<&'a str>,
    why: &'a str,
}

/// Lines with their numbers, in their order: those that wait to go to the server, and between them those that are refused, to
/// be told when it is their turn.
#[derive(Default)]
struct Batch {
    lines: Vec<(u64, Line)>,
    bytes: usize,
}

enum Line {
    User(Box<UserLine>),
    Refused { username: Option<String>, why: String },
}

/// What is to be known of a line when the server has answered.
struct Sent {
    username: String,
    kind: Option<&'static str>,
}

impl Batch {
    const fn is_full(&self) -> bool {
        self.lines.len() >= MAX_BATCH || self.bytes >= MAX_BATCH_BYTES - MAX_LEN
    }
}

struct Importing<'a> {
    door: &'a Door,
    json: bool,
    out: &'a mut dyn Write,
    bar: ProgressBar,
    summary: Summary,
    /// The names so far.
    names: HashSet<Username>,
}

pub(super) fn import(
    command: &Import,
    settings: &Settings,
    json: bool,
    surroundings: Surroundings<'_>,
) -> Result<(), Failure> {
    let Surroundings { input, out, .. } = surroundings;
    let unreadable = |error| Failure::NotDone(format!("{}: cannot be read: {error}", command.file.display()));
    let mut file;
    let (reader, len): (&mut dyn BufRead, _) = if command.file.as_os_str() == "-" {
        (input.reader, None)
    } else {
        let opened = files::open(&command.file).map_err(unreadable)?;
        let len = opened.metadata().ok().map(|about| about.len());
        file = BufReader::new(opened);
        (&mut file, len)
    };
    let format = command.format.unwrap_or_else(|| Format::of(&command.file));
    block_on(async {
        let door = Door::find(settings).await?;
        let summary = Summary { dry_run: command.dry_run, ..Summary::default() };
        let names = HashSet::new();
        let importing = Importing { door: &door, json, out, bar: bar(len), summary, names };
        importing.all(reader, (format, command.from_line), unreadable).await
    })
}

/// Drawn on standard error, if that is a terminal.
fn bar(len: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr());
    let template = match len {
        Some(_) => "{bar:30} {percent:>3} %  {msg}  {eta} left",
        None => "{spinner} {msg}  {elapsed}",
    };
    // The templates are right; were one not, the default would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Importing<'_> {
    async fn all(
        mut self,
        reader: &mut dyn BufRead,
        (format, from): (Format, u64),
        unreadable: impl Fn(std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let mut batch = Batch::default();
        let mut records = Records::open(reader, format).map_err(&unreadable)?;
        while let Some(record) = records.next().map_err(&unreadable)? {
            self.bar.inc(record.bytes);
            if record.line < from {
                continue;
            }
            let line = match record.user {
                Ok(None) => continue,
                Ok(Some(user)) => self.looked_at(user, &mut batch.bytes),
                Err(why) => Line::Refused { username: None, why },
            };
            batch.lines.push((record.line, line));
            if batch.is_full() {
                self.send(std::mem::take(&mut batch)).await?;
            }
        }
        self.send(batch).await?;
        self.bar.finish_and_clear();
        self.end()
    }

    /// What is to be done with a user; `bytes` grows by what is sent.
    fn looked_at(&mut self, user: UserLine, bytes: &mut usize) -> Line {
        let refused = |why: String| Line::Refused { username: Some(user.username.clone()), why };
        if self.is_second(&user.username) {
            return refused("an earlier line has the same name".to_owned());
        }
        // JSON escapes may make more of a record of CSV.
        match serde_json::to_vec(&user).map(|json| json.len()) {
            Ok(len) if len <= MAX_LEN => {
                *bytes += len;
                Line::User(Box::new(user))
            }
            _ => refused(format!("longer than {MAX_LEN} bytes of JSON")),
        }
    }

    async fn send(&mut self, batch: Batch) -> Result<(), Failure> {
        let Some((first, _)) = batch.lines.first() else { return Ok(()) };
        let first = *first;
        let (mut users, mut told) = (Vec::new(), Vec::new());
        for (number, line) in batch.lines {
            told.push((
                number,
                match line {
                    Line::User(user) => {
                        let sent = Sent::of(&user);
                        users.push(*user);
                        Ok(sent)
                    }
                    Line::Refused { username, why } => Err((username, why)),
                },
            ));
        }
        let mut outcomes = self.ask(users, first).await?.into_iter();
        for (number, line) in told {
            match line {
                Err((username, why)) => self.refuse(number, username.as_deref(), &why)?,
                Ok(sent) => match outcomes.next() {
                    Some(LineOutcome::Refused { why }) => self.refuse(number, Some(&sent.username), &why)?,
                    Some(LineOutcome::Added) => self.added(sent.kind),
                    Some(LineOutcome::AlreadyThere) => self.summary.already_there += 1,
                    None => return Err(Failure::NotDone("the server has left out some users".to_owned())),
                },
            }
        }
        let Summary { added, already_there, refused, .. } = self.summary;
        self.bar.set_message(format!("{added} added, {already_there} already there, {refused} refused"));
        Ok(())
    }

    /// What comes of these users, of whom the first stands on the line `first` or below it.
    async fn ask(&self, users: Vec<UserLine>, first: u64) -> Result<Vec<LineOutcome>, Failure> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let asked = self.door.ask(Command::UserImport { users, dry_run: self.summary.dry_run }).await;
        let reply = asked.map_err(|error| {
            self.bar.finish_and_clear();
            Failure::NotDone(format!(
                "stopped at line {first}: {error}; repeat the command, or go on with --from-line {first}"
            ))
        })?;
        let Reply::UsersImported { outcomes } = reply else { return Err(unexpected(reply)) };
        Ok(outcomes)
    }

    fn added(&mut self, kind: Option<&'static str>) {
        self.summary.added += 1;
        if let Some(kind) = kind {
            *self.summary.replaced_at_sign_in.entry(kind).or_default() += 1;
        }
    }

    /// Whether the name was there before. Of two users who are sent together either might get it.
    fn is_second(&mut self, name: &str) -> bool {
        name.parse::<Username>().is_ok_and(|name| !self.names.insert(name))
    }

    fn refuse(&mut self, line: u64, username: Option<&str>, why: &str) -> Result<(), Failure> {
        self.summary.refused += 1;
        let (json, out) = (self.json, &mut *self.out);
        let written = self.bar.suspend(|| match username {
            _ if json => json_line(out, &RefusedLine { line, username, why }),
            Some(name) => writeln!(out, "line {line}: {}: {why}", shown(name)),
            None => writeln!(out, "line {line}: {}", shown(why)),
        });
        Ok(written?)
    }

    fn end(self) -> Result<(), Failure> {
        let Summary { added, already_there, refused, dry_run, .. } = self.summary;
        if self.json {
            json_line(self.out, &self.summary)?;
        } else {
            let would = if dry_run { "would be " } else { "" };
            writeln!(
                self.out,
                "{} {would}added, {already_there} already there, {refused} refused",
                counted(added, "user")
            )?;
            let kinds =
                self.summary.replaced_at_sign_in.iter().map(|(kind, count)| format!("{count} {kind}"));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            if !kinds.is_empty() {
                writeln!(self.out, "hashes that the next sign-in replaces: {kinds}")?;
            }
        }
        match refused {
            0 => Ok(()),
            count => Err(Failure::NotDone(format!("{} refused", counted(count, "line")))),
        }
    }
}

impl Sent {
    fn of(user: &UserLine) -> Self {
        let hash = user.password_hash.as_ref().and_then(|hash| PasswordHash::parse(hash.expose()).ok());
        Self { username: user.username.clone(), kind: hash.map(|hash| hash.kind()) }
    }
}

pub(super) fn export(settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    block_on(async {
        let door = Door::find(settings).await?;
        let mut after = None;
        loop {
            let reply = door.ask(Command::UserExport { after, limit: PAGE }).await?;
            let Reply::UsersExported { users, next } = reply else { return Err(unexpected(reply)) };
            users.iter().try_for_each(|user| json_line(out, user))?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    })
}
