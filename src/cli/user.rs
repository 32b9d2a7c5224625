//! `relatch user`: users, from the server's own machine.

use std::io::{IsTerminal as _, Read as _, Write};

use clap::{Args, Subcommand};
use relatch_domain::UnixMillis;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Failure, Surroundings};
use crate::operator::{Command, Password, Reply, UserRow, execute, socket};
use crate::settings::Settings;
use crate::startup::{OpenStore, block_on, open_store};

/// How many users are asked for at a time.
const PAGE: usize = 500;
/// Longest password that is read, in bytes; the rules say what is too long.
const MAX_PASSWORD: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct User {
    #[command(subcommand)]
    action: Action,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a user. The password is asked for, or read from standard input.
    Add {
        /// The user's name.
        username: String,
        /// A role, such as `admin`; may be given several times. Without any, the user has the role `user`.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// List all users.
    List,
    /// Set a user's password and sign the user out everywhere. The password is asked for, or read from standard input.
    Passwd {
        /// The user's name.
        username: String,
    },
}

pub(super) fn run(command: User, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let settings = surroundings.load()?.settings;
    let (json, out) = (command.json, surroundings.out);
    match command.action {
        Action::Add { username, roles } => {
            let password = read_password(&username)?;
            let command = Command::UserAdd { username, roles, password };
            one_user(block_on(ask(&settings, command))?, "added", json, out)
        }
        Action::Passwd { username } => {
            let password = read_password(&username)?;
            let command = Command::UserPasswd { username, password };
            let done = "has a new password and is signed out everywhere";
            one_user(block_on(ask(&settings, command))?, done, json, out)
        }
        Action::List => block_on(async { list(&Door::find(&settings).await?, json, out).await }),
    }
}

async fn ask(settings: &Settings, command: Command) -> Result<Reply, Failure> {
    Door::find(settings).await?.ask(command).await
}

/// How commands reach the store.
enum Door {
    /// A running server carries them out.
    Server(std::path::PathBuf),
    /// No server runs: we carry them out.
    Store(Box<OpenStore>),
}

impl Door {
    /// With the embedded store a running server owns the file, so it is asked first.
    async fn find(settings: &Settings) -> Result<Self, Failure> {
        if let Some(path) = settings.admin.socket.clone()
            && socket::answers(&path).await
        {
            return Ok(Self::Server(path));
        }
        let store = open_store(settings).await?;
        Ok(Self::Store(Box::new(store)))
    }

    async fn ask(&self, command: Command) -> Result<Reply, Failure> {
        match self {
            Self::Server(path) => {
                socket::ask(path, &command).await.map_err(|error| not_done("the running server", &error))
            }
            Self::Store(store) => Ok(execute(store.app(), command).await),
        }
    }
}

fn one_user(reply: Reply, done: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    match reply {
        Reply::User { user } if json => writeln!(out, "{}", as_json(&user)),
        Reply::User { user } => writeln!(out, "{} {done} ({})", user.username, user.id),
        Reply::Refused { message } => return Err(Failure::NotDone(message)),
        Reply::Users { .. } => return Err(Failure::NotDone("the server answered something else".to_owned())),
    }?;
    Ok(())
}

async fn list(door: &Door, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if !json {
        writeln!(out, "{:<24}  {:<20}  {:<8}  {:<20}  ID", "NAME", "ROLES", "STATE", "CREATED")?;
    }
    let mut after = None;
    loop {
        let users = match door.ask(Command::UserList { after, limit: PAGE }).await? {
            Reply::Users { users } => users,
            Reply::Refused { message } => return Err(Failure::NotDone(message)),
            Reply::User { .. } => {
                return Err(Failure::NotDone("the server answered something else".to_owned()));
            }
        };
        for user in &users {
            let line = if json { as_json(user).to_string() } else { as_line(user) };
            writeln!(out, "{line}")?;
        }
        match users.last() {
            Some(last) if users.len() == PAGE => after = Some(last.username.clone()),
            _ => return Ok(()),
        }
    }
}

fn created_at(user: &UserRow) -> String {
    crate::http::answer::rfc3339(UnixMillis(user.created_at).seconds())
}

fn as_json(user: &UserRow) -> serde_json::Value {
    json!({
        "id": user.id,
        "username": user.username,
        "roles": user.roles,
        "disabled": user.disabled,
        "created_at": created_at(user),
    })
}

fn as_line(user: &UserRow) -> String {
    let state = if user.disabled { "disabled" } else { "enabled" };
    let (name, roles, created_at) = (&user.username, user.roles.join(","), created_at(user));
    format!("{name:<24}  {roles:<20}  {state:<8}  {created_at:<20}  {}", user.id)
}

fn not_done(what: &str, error: &std::io::Error) -> Failure {
    Failure::NotDone(format!("{what}: {error}"))
}

fn no_password(error: &std::io::Error) -> Failure {
    not_done("the password cannot be read", error)
}

/// Asks for a password twice on a terminal; otherwise reads it from standard input, without the closing newline.
fn read_password(username: &str) -> Result<Password, Failure> {
    if !std::io::stdin().is_terminal() {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut text).map_err(|error| no_password(&error))?;
        let typed = text.strip_suffix('\n').unwrap_or(&text);
        return Ok(Password::new(typed.strip_suffix('\r').unwrap_or(typed).to_owned()));
    }
    let first = rpassword::prompt_password(format!("Password for {username}: "))
        .map_err(|error| no_password(&error))?;
    let second =
        Zeroizing::new(rpassword::prompt_password("Once more: ").map_err(|error| no_password(&error))?);
    if *first == **second {
        Ok(Password::new(first))
    } else {
        Err(Failure::NotDone("the passwords differ".to_owned()))
    }
}
