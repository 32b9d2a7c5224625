//! What an operator may ask of the server from its own machine: the commands behind `relatch user …`, `session …`,
//! `key …`, `store …` and `audit …`.
//!
//! A command is carried out by [`execute`], the same way whether the running server received it through its socket
//! ([`socket`]) or the command line opened the store itself. Whoever gives it is the operator: that is what the audit
//! trail says.

mod access;
mod audit;
mod command;
mod keys;
mod log;
mod rows;
mod sessions;
pub mod socket;
mod store;
mod transfer;
mod users;

use relatch_domain::user::{User, Username};

use crate::app::find_user::{find_named_user, similar_name};
use crate::app::{App, Failure};

pub use command::{AuditFilter, Command, Reply, RevokeTarget, Secret};
pub use rows::{ActorRow, AuditRow, EndRow, ExplanationRow, KeyRow, SessionRow, UserRow};
pub use transfer::{LineOutcome, UserLine};

/// How a command ends before its time: it is refused in words for the operator, or it fails.
enum Stop {
    Refused(String),
    Failed(Failure),
}

impl Stop {
    fn refused(message: impl std::fmt::Display) -> Self {
        Self::Refused(message.to_string())
    }

    /// There is nothing of this name, which is shown so that it cannot harm a terminal.
    fn unknown(what: &str, name: &str, similar: Option<&str>) -> Self {
        let instead = similar.map(|similar| format!("; did you mean {similar:?}?")).unwrap_or_default();
        Self::Refused(format!("there is no {what} {name:?}{instead}"))
    }

    /// The user was there a moment ago.
    fn gone() -> Self {
        Self::refused("somebody else has deleted the user meanwhile")
    }

    /// Nobody would be left to administer.
    fn last_administrator() -> Self {
        Self::refused("this is the last administrator who can sign in; with --force it is done nevertheless")
    }

    /// What was asked for is done, but may be lost again.
    fn not_durable() -> Self {
        Self::refused("done, but too few replicas have confirmed it; repeat the command")
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

type Done = Result<Reply, Stop>;

/// Carries a command out.
pub async fn execute(app: &App, command: Command) -> Reply {
    let done = match command {
        Command::UserAdd { username, roles, attributes, password } => {
            users::add(app, &username, roles, attributes, &password).await
        }
        Command::UserList { prefix, after, limit } => users::list(app, prefix, after, limit).await,
        Command::UserShow { user } => users::show(app, &user).await,
        Command::UserPasswd { user, password } => users::passwd(app, &user, password).await,
        Command::UserReset { user } => users::reset(app, &user).await,
        Command::UserUnblock { user, address } => access::unblock(app, user.as_deref(), address).await,
        Command::UserRoles { user, add, remove, force } => {
            access::roles(app, &user, &add, &remove, force).await
        }
        Command::UserDisable { user, force } => users::disable(app, &user, true, force).await,
        Command::UserEnable { user } => users::disable(app, &user, false, false).await,
        Command::UserDelete { user, force } => users::delete(app, &user, force).await,
        Command::UserImport { users, dry_run } => transfer::import(app, users, dry_run).await,
        Command::UserExport { after, limit } => transfer::export(app, after, limit).await,
        Command::SessionList { user, all, after, limit } => {
            sessions::list(app, &user, all, after, limit).await
        }
        Command::SessionExplain { session } => sessions::why(app, &session).await,
        Command::SessionRevoke { target, reason } => sessions::revoke(app, target, reason).await,
        Command::KeyList => keys::list(app).await,
        Command::KeyRotate { revoke } => keys::rotate(app, revoke.as_deref()).await,
        Command::LogLevel { level } => log::level(level.as_deref()),
        Command::StoreAdopt => store::adopt(app).await,
        Command::AuditPage { filter, before, limit } => audit::page(app, filter, before, limit).await,
    };
    match done {
        Ok(reply) => reply,
        Err(Stop::Refused(message)) => Reply::Refused { message },
        Err(Stop::Failed(failure)) => {
            tracing::warn!(error = %failure, "an operator's command failed");
            Reply::refused(failure)
        }
    }
}

/// The user with this id or name; a refusal if there is none.
async fn named(app: &App, user: &str) -> Result<User, Stop> {
    if let Some(found) = find_named_user(app, user).await? {
        return Ok(found);
    }
    let similar = similar_name(app, user).await?;
    Err(Stop::unknown("user", user, similar.as_ref().map(Username::as_str)))
}
