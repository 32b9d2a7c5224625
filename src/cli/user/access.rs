//! `relatch user role` and `relatch user unblock`.

use std::io::Write;
use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::super::Failure;
use super::super::door::{ask, unexpected};
use super::super::print::{json_line, shown};
use super::print::changed;
use crate::operator::{Command, Reply};
use crate::settings::Settings;
use crate::startup::block_on;

#[derive(Debug, Args)]
pub(in super::super) struct Unblock {
    /// The user's name or id.
    #[arg(value_name = "NAME|ID", required_unless_present = "address")]
    user: Option<String>,
    /// Also, or only, what failed from this address and its block (IPv4 /24, IPv6 /48), for whatever account.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
}

#[derive(Debug, Args)]
pub(in super::super) struct Role {
    #[command(subcommand)]
    action: RoleAction,
}

#[derive(Debug, Subcommand)]
enum RoleAction {
    /// Give a user roles. Those that the user has stay.
    #[command(
        after_help = "The administration API knows them at once, access tokens have them from the next refresh on.

Example: relatch user role add ada admin"
    )]
    Add {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
        /// The roles.
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<String>,
    },
    /// Take roles away from a user.
    #[command(
        after_help = "The administration API knows it at once, access tokens have them until the next refresh.

Example: relatch user role remove ada admin billing"
    )]
    Remove {
        /// The user's name or id.
        #[arg(value_name = "NAME|ID")]
        user: String,
        /// The roles.
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// Even if no administrator is left who can sign in.
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn unblock(
    command: Unblock,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Unblock { user, address } = command;
    let reply = block_on(ask(settings, Command::UserUnblock { user, address }))?;
    let Reply::Unblocked { user, address } = reply else { return Err(unexpected(reply)) };
    if json {
        return Ok(json_line(out, &Unblocked { user: user.as_ref(), address })?);
    }
    if let Some(user) = user {
        writeln!(out, "{} no longer has to wait ({})", shown(&user.username), user.id)?;
    }
    if let Some(address) = address {
        writeln!(out, "{address} and its block no longer have to wait")?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Unblocked<'a> {
    user: Option<&'a crate::operator::UserRow>,
    address: Option<IpAddr>,
}

pub(super) fn role(
    command: Role,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let command = match command.action {
        RoleAction::Add { user, roles } => {
            Command::UserRoles { user, add: roles, remove: Vec::new(), force: false }
        }
        RoleAction::Remove { user, roles, force } => {
            Command::UserRoles { user, add: Vec::new(), remove: roles, force }
        }
    };
    let reply = block_on(ask(settings, command))?;
    let has = match &reply {
        Reply::UserChanged { user, .. } => match user.roles.as_slice() {
            [] => "has no role".to_owned(),
            [role] => format!("has the role {role}"),
            roles => format!("has the roles {}", roles.join(", ")),
        },
        _ => String::new(),
    };
    changed(reply, &has, json, out)
}
