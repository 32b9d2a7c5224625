//! `relatch user import` and `relatch user export`: many users, one on each line.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relatch_domain::user::Username;
use serde::Serialize;

use super::door::{Door, unexpected};
use super::print::{counted, json_line, shown};
use super::{Failure, Surroundings};
use crate::files;
use crate::operator::{Command, LineOutcome, Reply, UserLine};
use crate::settings::Settings;
use crate::startup::block_on;

/// The longest line that can be a user, in bytes: attributes and roles have limits of their own.
const MAX_LINE: usize = 16 * 1024;
/// Longest line that is passed over, in bytes.
const MAX_SKIPPED: u64 = 16 * 1024 * 1024;
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
Hashes: bcrypt ($2a$, $2b$, $2y$), passlib's $bcrypt-sha256$, and Argon2 ($argon2id$, $argon2i$, $argon2d$). At the
user's next sign-in one that is not as configured is replaced. Without a hash nobody can sign in until
`relatch user passwd`.

A user who is there already, by id or with the same hash, is passed over: an import that broke off is repeated, or
goes on with --from-line. Lines that are refused are listed on standard output, and the exit code is 1.

Examples:
  relatch user import users.jsonl --dry-run
  relatch user import users.jsonl > report.txt
  ssh old relatch user export | relatch user import -")]
pub(super) struct Import {
    /// The file; `-` stands for standard input.
    file: PathBuf,
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
}

/// A line that is refused, for `--json`.
#[derive(Serialize)]
struct RefusedLine<'a> {
    line: u64,
    username: Option<&'a str>,
    why: &'a str,
}

/// Lines that wait to go to the server, with their numbers.
#[derive(Default)]
struct Batch {
    lines: Vec<(u64, UserLine)>,
    bytes: usize,
}

impl Batch {
    const fn is_full(&self) -> bool {
        self.lines.len() >= MAX_BATCH || self.bytes >= MAX_BATCH_BYTES - MAX_LINE
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
    block_on(async {
        let door = Door::find(settings).await?;
        let summary = Summary { dry_run: command.dry_run, ..Summary::default() };
        let names = HashSet::new();
        let importing = Importing { door: &door, json, out, bar: bar(len), summary, names };
        importing.all(reader, command.from_line, unreadable).await
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
        from: u64,
        unreadable: impl Fn(std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let mut batch = Batch::default();
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            let read = (&mut *reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut text);
            let read = read.map_err(&unreadable)?;
            if read == 0 {
                break;
            }
            self.bar.inc(read as u64);
            let is_whole = read <= MAX_LINE;
            if !is_whole {
                self.bar.inc(skip_line(reader).map_err(&unreadable)?);
            }
            if number < from {
                continue;
            }
            match parse(&text, is_whole) {
                Ok(None) => {}
                Ok(Some(line)) if self.is_second(&line.username) => {
                    self.refuse(number, Some(&line.username), "an earlier line has the same name")?;
                }
                Ok(Some(line)) => {
                    batch.bytes += read;
                    batch.lines.push((number, line));
                }
                Err(why) => self.refuse(number, None, &why)?,
            }
            if batch.is_full() {
                self.send(std::mem::take(&mut batch)).await?;
            }
        }
        self.send(batch).await?;
        self.bar.finish_and_clear();
        self.end()
    }

    async fn send(&mut self, batch: Batch) -> Result<(), Failure> {
        let Some((first, _)) = batch.lines.first() else { return Ok(()) };
        let first = *first;
        let (numbers, users): (Vec<_>, Vec<_>) = batch.lines.into_iter().unzip();
        let names: Vec<_> = users.iter().map(|user| user.username.clone()).collect();
        let asked = self.door.ask(Command::UserImport { users, dry_run: self.summary.dry_run }).await;
        let reply = asked.map_err(|error| {
            self.bar.finish_and_clear();
            Failure::NotDone(format!(
                "stopped at line {first}: {error}; repeat the command, or go on with --from-line {first}"
            ))
        })?;
        let Reply::UsersImported { outcomes } = reply else { return Err(unexpected(reply)) };
        for ((number, name), outcome) in numbers.into_iter().zip(names).zip(outcomes) {
            match outcome {
                LineOutcome::Refused { why } => self.refuse(number, Some(&name), &why)?,
                LineOutcome::Added => self.summary.added += 1,
                LineOutcome::AlreadyThere => self.summary.already_there += 1,
            }
        }
        let Summary { added, already_there, refused, .. } = self.summary;
        self.bar.set_message(format!("{added} added, {already_there} already there, {refused} refused"));
        Ok(())
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
        let Summary { added, already_there, refused, dry_run } = self.summary;
        if self.json {
            json_line(self.out, &self.summary)?;
        } else {
            let would = if dry_run { "would be " } else { "" };
            writeln!(
                self.out,
                "{} {would}added, {already_there} already there, {refused} refused",
                counted(added, "user")
            )?;
        }
        match refused {
            0 => Ok(()),
            count => Err(Failure::NotDone(format!("{} refused", counted(count, "line")))),
        }
    }
}

/// The rest of a line that is too long. Says how many bytes it has.
fn skip_line(reader: &mut dyn BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let available = reader.fill_buf()?;
        let (len, is_end) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (available.len(), available.is_empty()),
        };
        reader.consume(len);
        skipped += len as u64;
        if is_end {
            return Ok(skipped);
        }
        if skipped > MAX_SKIPPED {
            let why = format!("a line of more than {MAX_SKIPPED} bytes: this is no file of users");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
        }
    }
}

/// A line's user; nothing if it is empty.
fn parse(text: &[u8], is_whole: bool) -> Result<Option<UserLine>, String> {
    if !is_whole {
        return Err(format!("longer than {MAX_LINE} bytes"));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(text).map(Some).map_err(|error| format!("not a user: {error}"))
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
