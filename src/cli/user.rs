//! `relatch user`: users, from the server's own machine.

mod access;
mod print;

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use relatch_domain::attributes::AttributeValue;

use super::door::{Door, ask, unexpected};
use super::print::{Table, counted, json_line, shown};
use super::{Failure, Surroundings, transfer};
use crate::operator::{Command, Reply};
use crate::startup::block_on;
use access::{Role, Unblock};
use print::{cells, changed, one, reset, show};

/// How many users are asked for at a time.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(super) struct User {
    #[command(subcommand)]
    action: Action,
    /// Print JSON: one object, or one on each line of a list.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a user. The password is asked for, or read from standard input.
    #[command(after_help = "Examples:
  relatch user add ada
  relatch user add root2 --role admin --role user
  relatch user add bob --attribute tenant=acme --attribute seats:=25 < password.txt")]
    Add {
        /// The user's name.
        username: String,
        /// A role, such as `admin`; may be given several times. Without any, the user has the role `user`.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// What your application keeps with the user; may be given several times. NAME=TEXT, or NAME:=JSON for a
        /// number, true, false or a list of texts.
        #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
        attributes: Vec<(String, AttributeValue)>,
    },
    /// List users in the order of their names.
    #[command(after_help = "Examples:
  relatch user list
  relatch user list --query ad --limit 20
  relatch user list --json | jq -r 'select(.disabled) | .username'")]
    List {
        /// Only users whose name begins with this.
        #[arg(long, value_name = "PREFIX")]
        query: Option<String>,
        /// At most so many. Without it: all.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
    },
    /// Show everything about a user but the password.
    #[command(after_help = "See also: relatch session list NAME, relatch audit tail --user NAME")]
    Show {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
    },
    /// Set a user's password and sign the user out everywhere. The password is asked for, or read from standard input.
    #[command(after_help = "A lost administrator's password is recovered by: relatch user passwd admin")]
    Passwd {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
    },
    /// Print a token by which a user who has lost the password can set a new one, once.
    #[command(
        after_help = "Give the token to the user on a way that you trust: whoever has it can set the password. The application sends it,
with the new password, to POST /password/reset. Until then nothing changes; any change of the password voids it."
    )]
    Reset {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
    },
    /// Forget a user's failed sign-ins, so that the next one need not wait.
    #[command(
        after_help = "A new password lifts the wait as well: `relatch user passwd`, or the token of `relatch user reset`. The embedded
store forgets failed sign-ins when its server stops.

Examples:
  relatch user unblock ada
  relatch user unblock --address 192.0.2.7"
    )]
    Unblock(Unblock),
    /// Give a user roles, or take some away.
    Role(Role),
    /// Refuse a user sign-in and refresh, and sign the user out everywhere.
    #[command(
        after_help = "Access tokens that are out already stay good until they expire, for whoever verifies them
without asking the server. `relatch user enable` lets the user sign in again; sessions that ended stay ended."
    )]
    Disable {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
        /// Even if no administrator is left who can sign in.
        #[arg(long)]
        force: bool,
    },
    /// Let a disabled user sign in again.
    Enable {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
    },
    /// Bring users over from another place, with the password hashes that they have there.
    Import(transfer::Import),
    /// Print all users with their password hashes, one JSON object on each line, as `user import` reads them.
    #[command(
        after_help = "Whoever has the output can try passwords at leisure: keep it as you keep the store. That it was
read stands in the audit trail. Sessions are not in it: whoever is imported elsewhere signs in there.

Examples:
  umask 077; relatch user export > users.jsonl
  relatch user export | jq -r .username"
    )]
    Export,
    /// Delete a user with all sessions. The name is free again, the id is never given to anybody else.
    #[command(after_help = "On a terminal the name is asked for once more. Scripts say --yes.

Examples:
  relatch user delete ada
  relatch user delete 01a1fdab-6a07-786f-997e-d0ae0e2646b6 --yes")]
    Delete {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Even if no administrator is left who can sign in.
        #[arg(long)]
        force: bool,
    },
}

/// `name=text` or `name:=json`.
fn attribute(text: &str) -> Result<(String, AttributeValue), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=TEXT or NAME:=JSON")?;
    match name.strip_suffix(':') {
        Some(name) => serde_json::from_str(value).map(|value| (name.to_owned(), value)).map_err(|_| {
            "after := comes a whole number, true, false, a \"text\" or a list of texts".to_owned()
        }),
        None => Ok((name.to_owned(), AttributeValue::Text(value.to_owned()))),
    }
}

pub(super) fn run(command: User, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let settings = surroundings.load()?.settings;
    let json = command.json;
    match command.action {
        Action::Add { username, roles, attributes } => {
            let attributes = each_once(attributes)?;
            let password = surroundings.input.password(&username)?;
            let command = Command::UserAdd { username, roles, attributes, password };
            match block_on(ask(&settings, command))? {
                Reply::User { user } => one(&user, "added", json, surroundings.out),
                other => Err(unexpected(other)),
            }
        }
        Action::List { query, limit } => {
            let list =
                async { list(&Door::find(&settings).await?, query, limit, json, surroundings.out).await };
            block_on(list)
        }
        Action::Show { user } => match block_on(ask(&settings, Command::UserShow { user }))? {
            Reply::UserShown { user, live_sessions } => show(&user, live_sessions, json, surroundings.out),
            other => Err(unexpected(other)),
        },
        Action::Passwd { user } => {
            let password = surroundings.input.password(&user)?;
            let reply = block_on(ask(&settings, Command::UserPasswd { user, password }))?;
            changed(reply, "has a new password and is signed out everywhere", json, surroundings.out)
        }
        Action::Reset { user } => {
            reset(block_on(ask(&settings, Command::UserReset { user }))?, json, surroundings)
        }
        Action::Unblock(unblock) => access::unblock(unblock, &settings, json, surroundings.out),
        Action::Role(role) => access::role(role, &settings, json, surroundings.out),
        Action::Disable { user, force } => {
            let reply = block_on(ask(&settings, Command::UserDisable { user, force }))?;
            changed(reply, "is disabled and signed out everywhere", json, surroundings.out)
        }
        Action::Enable { user } => {
            let reply = block_on(ask(&settings, Command::UserEnable { user }))?;
            changed(reply, "may sign in", json, surroundings.out)
        }
        Action::Import(import) => transfer::import(&import, &settings, json, surroundings),
        Action::Export => transfer::export(&settings, surroundings.out),
        Action::Delete { user, yes, force } => {
            let how = Deletion { yes, force, json };
            block_on(async { delete(&Door::find(&settings).await?, user, how, surroundings).await })
        }
    }
}

fn each_once(attributes: Vec<(String, AttributeValue)>) -> Result<BTreeMap<String, AttributeValue>, Failure> {
    let mut each = BTreeMap::new();
    for (name, value) in attributes {
        if let Some(twice) = each.insert(name.clone(), value).map(|_| name) {
            return Err(Failure::WrongUse(format!("--attribute {} is given twice", shown(&twice))));
        }
    }
    Ok(each)
}

async fn list(
    door: &Door,
    prefix: Option<String>,
    limit: Option<u32>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut left = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut table = Table::new(&["NAME", "ROLES", "STATE", "CREATED", "ID"]);
    let mut after = None;
    loop {
        let page = PAGE.min(left);
        let command = Command::UserList { prefix: prefix.clone(), after, limit: page };
        let users = match door.ask(command).await? {
            Reply::Users { users } => users,
            other => return Err(unexpected(other)),
        };
        left = left.saturating_sub(users.len());
        if json {
            users.iter().try_for_each(|user| json_line(out, user))?;
        } else {
            table.rows(&users.iter().map(cells).collect::<Vec<_>>(), out)?;
        }
        match users.last() {
            Some(last) if users.len() == page && left > 0 => after = Some(last.username.clone()),
            _ => return Ok(()),
        }
    }
}

/// How to delete.
struct Deletion {
    yes: bool,
    force: bool,
    json: bool,
}

/// Deletes a user, by the id that the name had when it was asked about.
async fn delete(
    door: &Door,
    mut user: String,
    Deletion { yes, force, json }: Deletion,
    surroundings: Surroundings<'_>,
) -> Result<(), Failure> {
    let Surroundings { mut input, out, err, .. } = surroundings;
    if !yes {
        input.somebody_there()?;
        let shown_user = door.ask(Command::UserShow { user }).await?;
        let Reply::UserShown { user: found, live_sessions } = shown_user else {
            return Err(unexpected(shown_user));
        };
        let (name, sessions) = (shown(&found.username), counted(live_sessions, "live session"));
        input.confirm(
            &format!("This deletes {name} ({}), with {sessions}, for good.", found.id),
            &name,
            err,
        )?;
        user = found.id;
    }
    match door.ask(Command::UserDelete { user, force }).await? {
        Reply::User { user } => one(&user, "deleted", json, out),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_text_unless_they_say_json() {
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        assert_eq!(attribute("zip=01234"), Ok(("zip".to_owned(), text("01234"))));
        assert_eq!(attribute("a=b=c"), Ok(("a".to_owned(), text("b=c"))));
        assert_eq!(attribute("seats:=25"), Ok(("seats".to_owned(), AttributeValue::Number(25))));
        assert_eq!(attribute("vip:=true"), Ok(("vip".to_owned(), AttributeValue::Flag(true))));
        let list = AttributeValue::List(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(attribute(r#"teams:=["a","b"]"#), Ok(("teams".to_owned(), list)));
        for wrong in ["tenant", "seats:=x", "seats:=1.5", "seats:=null"] {
            assert!(attribute(wrong).is_err(), "{wrong}");
        }
    }
}
