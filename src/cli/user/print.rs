//! What commands about users print.

use std::io::Write;

use super::super::door::unexpected;
use super::super::print::{counted, json_line, shown};
use super::super::{Failure, Surroundings};
use crate::operator::{Reply, Secret, UserRow};

pub(super) fn cells(user: &UserRow) -> Vec<String> {
    let (name, created_at, id) = (user.username.clone(), user.created_at.clone(), user.id.clone());
    vec![name, user.roles.join(","), state(user).to_owned(), created_at, id]
}

pub(super) const fn state(user: &UserRow) -> &'static str {
    if user.disabled { "disabled" } else { "enabled" }
}

/// One line about a user; as JSON, the user.
pub(super) fn one(user: &UserRow, done: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        json_line(out, user)?;
    } else {
        writeln!(out, "{} {done} ({})", shown(&user.username), user.id)?;
    }
    Ok(())
}

/// One line about a user that was changed, and how many sessions ended with it.
pub(super) fn changed(reply: Reply, done: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let Reply::UserChanged { user, revoked_sessions } = reply else { return Err(unexpected(reply)) };
    if json {
        return Ok(json_line(out, &WithCount { user: &user, count: Count::Revoked { revoked_sessions } })?);
    }
    let ended = match revoked_sessions {
        0 => String::new(),
        count => format!("; {} ended", counted(count, "session")),
    };
    Ok(writeln!(out, "{} {done} ({}){ended}", shown(&user.username), user.id)?)
}

/// The token alone on standard output, so that it can be piped on.
pub(super) fn reset(reply: Reply, json: bool, surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let Reply::ResetIssued { user, reset_token, expires_at } = reply else { return Err(unexpected(reply)) };
    let Surroundings { out, err, .. } = surroundings;
    if json {
        return Ok(json_line(
            out,
            &IssuedReset { user: &user, reset_token: &reset_token, expires_at: &expires_at },
        )?);
    }
    writeln!(err, "{} can set a new password with this token until {expires_at}:", shown(&user.username))?;
    Ok(writeln!(out, "{}", reset_token.expose())?)
}

#[derive(serde::Serialize)]
struct IssuedReset<'a> {
    #[serde(flatten)]
    user: &'a UserRow,
    reset_token: &'a Secret,
    expires_at: &'a str,
}

pub(super) fn show(
    user: &UserRow,
    live_sessions: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if json {
        return Ok(json_line(out, &WithCount { user, count: Count::Live { live_sessions } })?);
    }
    let line = |out: &mut dyn Write, name: &str, value: &str| writeln!(out, "{name:<14}{}", shown(value));
    line(out, "name", &user.username)?;
    line(out, "id", &user.id)?;
    line(out, "roles", &user.roles.join(","))?;
    line(out, "state", state(user))?;
    line(out, "created", &user.created_at)?;
    line(out, "live sessions", &live_sessions.to_string())?;
    for (name, value) in &user.attributes {
        let value = serde_json::to_string(value).map_err(std::io::Error::from)?;
        line(out, "attribute", &format!("{name} = {value}"))?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct WithCount<'a> {
    #[serde(flatten)]
    user: &'a UserRow,
    #[serde(flatten)]
    count: Count,
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Count {
    Revoked { revoked_sessions: usize },
    Live { live_sessions: usize },
}
