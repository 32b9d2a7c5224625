//! Reset of a lost password: an administrator issues a token, and whoever has it sets a new password, once.

use relatch_domain::event::Event;
use relatch_domain::reset_token::ResetToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::User;
use relatch_domain::{UnixSeconds, UserId};

use super::audit::AuditRecord;
use super::operation::What;
use super::origin::Origin;
use super::users::{PasswordRefused, credentials, new_password};
use super::{App, Failure};
use crate::store::{Credentials, UserAsSeen, UserChange, UserChangeOutcome};

/// A token that lets its bearer set a password.
pub struct IssuedReset {
    /// The user.
    pub user: User,
    /// The token: a credential.
    pub token: String,
    /// When it expires.
    pub expires_at: UnixSeconds,
}

/// Issues a reset token. The password so far holds until it is used, as do all sessions. Nothing if there is no such user.
///
/// # Errors
/// If the store fails.
pub async fn issue_reset(app: &App, origin: &Origin, user: UserId) -> Result<Option<IssuedReset>, Failure> {
    let Some(Credentials { user, password_hash, .. }) = credentials(app, user).await? else {
        return Ok(None);
    };
    let expires_at = app.clock.now().plus(app.policy.reset_ttl).seconds();
    let token = ResetToken::replacing(password_hash.as_deref(), user.id, expires_at).seal(&app.macs);
    app.tell_for_certain(origin, &Event::PasswordResetIssued { user: user.id }).await?;
    Ok(Some(IssuedReset { user, token, expires_at }))
}

/// What came of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordReset {
    /// The new password holds, and all sessions of the user have ended.
    Done,
    /// The same, but too few replicas have heard of it. The token is spent: the user should sign in and, if that fails, be given
    /// another.
    NotDurable,
    /// The token is not one of ours, has expired, or the password has been changed since.
    InvalidToken,
    /// The new password breaks the rules. The token stays good.
    Refused(PasswordRefused),
}

/// Sets a password by a reset token, and ends all sessions of the user. What strangers have failed at the account counts no more.
///
/// # Errors
/// If the store fails or the hashing queue is full.
pub async fn reset_password(
    app: &App,
    origin: &Origin,
    token: &str,
    new: &str,
) -> Result<PasswordReset, Failure> {
    let Some(token) = ResetToken::open(token, &app.macs) else { return Ok(PasswordReset::InvalidToken) };
    if token.expires_at <= app.clock.now().seconds() {
        return Ok(PasswordReset::InvalidToken);
    }
    let Some(found) = credentials(app, token.user).await? else { return Ok(PasswordReset::InvalidToken) };
    if !token.replaces(found.password_hash.as_deref()) {
        return Ok(PasswordReset::InvalidToken);
    }
    let new = match new_password(app, &found.user.profile.username, new) {
        Ok(new) => new,
        Err(refused) => return Ok(PasswordReset::Refused(refused)),
    };
    let (user, reason) = (token.user, EndReason::PasswordChanged);
    let password_hash =
        Some(app.admit_account(found.user.profile.username.as_str(), origin)?.hash(new).await?);
    let event = Event::PasswordChanged { user };
    let record = AuditRecord::of(origin, &event, app.clock.now());
    let operation = app.open(origin, What::Change { user }, vec![record]).await?;
    let change = UserChange {
        operation: Some(operation.id),
        password_hash,
        end: Some((Scope::All, reason, origin.end_note(Some(user), None))),
        // Of two who have the token one gets through.
        as_seen: UserAsSeen { password_hash: found.password_hash, attributes: None },
        ..UserChange::of(user)
    };
    let UserChangeOutcome::Changed(changed) = app.store.change_user(&change).await? else {
        app.withdraw(operation).await;
        return Ok(PasswordReset::InvalidToken);
    };
    app.note(origin, &event);
    let in_force = app.conclude_change(origin, operation, user, &changed.ended, Some(reason)).await?;
    app.lift_wait(user).await;
    Ok(if in_force { PasswordReset::Done } else { PasswordReset::NotDurable })
}
