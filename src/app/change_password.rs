//! Change of password: by the user, who knows the old one and has signed in not long ago.

use std::time::Duration;

use relatch_domain::UserId;
use relatch_domain::event::{Event, SignInFailure};
use relatch_domain::password_rules::Password;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;

use super::audit::AuditRecord;
use super::caller::LiveCaller;
use super::operation::What;
use super::origin::Origin;
use super::users::{PasswordRefused, new_password};
use super::{App, Failure};
use crate::keys::password::Permit;
use crate::store::{UserAsSeen, UserChange, UserChangeOutcome};

/// What came of a change of password.
pub enum PasswordChange {
    /// The new password holds, all other sessions of the user have ended, and all device tokens are void.
    Done {
        /// A new token for the caller's device.
        device_token: String,
    },
    /// The same, but too few replicas have heard of it: the client should repeat, with the new password as the old one.
    NotDurable,
    /// The caller signed in longer ago than this. Nothing has changed, nor by any of the following.
    SignInTooOld(Duration),
    /// The new password breaks the rules.
    Refused(PasswordRefused),
    /// The current password is another one, perhaps since a moment ago.
    WrongPassword,
    /// There were too many wrong ones: nothing was looked at, and the next try has to wait so long.
    TooMany(Duration),
    /// The account has signed in or changed its password too often: nothing has changed, and the next time has to wait so long.
    TooOften(Duration),
    /// The user was deleted meanwhile.
    UserGone,
}

/// Changes the caller's password and ends the caller's other sessions, in one step.
///
/// # Errors
/// If the store fails, the hashing queue is full or there is no randomness.
pub async fn change_password(
    app: &App,
    origin: &Origin,
    live: &LiveCaller,
    current: &str,
    new: &str,
) -> Result<PasswordChange, Failure> {
    let max_age = app.policy.reauthentication_age;
    if live.record.signed_in_at.plus(max_age).is_over(live.now) {
        return Ok(PasswordChange::SignInTooOld(max_age));
    }
    let new = match new_password(app, &live.profile.username, new) {
        Ok(new) => new,
        Err(refused) => return Ok(PasswordChange::Refused(refused)),
    };
    let session = live.caller.session;
    let user = session.user;
    let admission = app.admit_owner(user, origin)?;
    let checked = match check(app, live, current, admission.permit().await?).await? {
        Ok(checked) => checked,
        Err(outcome) => return failed(app, origin, user, outcome).await,
    };
    let (reason, device) = (EndReason::PasswordChanged, app.random.bytes()?);
    let mut change = UserChange {
        password_hash: Some(admission.hash(new).await?),
        end: Some((Scope::AllBut(session.session), reason, origin.end_note(Some(user), None))),
        // Whoever knew only the password before this one must not undo the change by one of their own.
        as_seen: UserAsSeen { password_hash: Some(checked), attributes: None },
        ..UserChange::of(user)
    };
    let event = Event::PasswordChanged { user };
    let record = AuditRecord::of(origin, &event, app.clock.now());
    let operation = app.open(origin, What::Change { user }, vec![record]).await?;
    change.operation = Some(operation.id);
    let mut outcome = app.store.change_user(&change).await?;
    if outcome == UserChangeOutcome::Blocked
        && let Some(checked) = checked_hash(app, admission.permit().await?, live, current).await?
    {
        // The same password in another hash: a sign-in has made it anew.
        change.as_seen.password_hash = Some(checked);
        outcome = app.store.change_user(&change).await?;
    }
    let changed = match outcome {
        UserChangeOutcome::Changed(changed) => changed,
        UserChangeOutcome::Blocked => {
            app.withdraw(operation).await;
            return failed(app, origin, user, PasswordChange::WrongPassword).await;
        }
        UserChangeOutcome::Unknown => {
            app.withdraw(operation).await;
            app.reveal_deleted(user).await?;
            return Ok(PasswordChange::UserGone);
        }
    };
    app.note(origin, &event);
    let in_force = app.conclude_change(origin, operation, user, &changed.ended, Some(reason)).await?;
    let device_token = app.device_token(user, device, changed.password_number());
    Ok(if in_force { PasswordChange::Done { device_token } } else { PasswordChange::NotDurable })
}

/// Whether the caller may change the password: gives the hash that the current one was checked against.
async fn check(
    app: &App,
    live: &LiveCaller,
    current: &str,
    permit: Permit,
) -> Result<Result<String, PasswordChange>, Failure> {
    let user = live.caller.session.user;
    let counted = match app.count_reauthentication(user).await? {
        Ok(counted) => counted,
        Err(wait) => return Ok(Err(PasswordChange::TooMany(wait))),
    };
    let checked = match checked_hash(app, permit, live, current).await {
        Ok(None) => return Ok(Err(PasswordChange::WrongPassword)),
        Ok(Some(checked)) => Ok(checked),
        Err(error) => Err(error),
    };
    app.take_back(counted).await;
    let checked = checked?;
    Ok(app.count_success(user).map(|()| checked).map_err(PasswordChange::TooOften))
}

/// Tells of a current password that was wrong, or not looked at.
async fn failed(
    app: &App,
    origin: &Origin,
    user: UserId,
    outcome: PasswordChange,
) -> Result<PasswordChange, Failure> {
    let failure = match outcome {
        PasswordChange::TooMany(_) => SignInFailure::TooMany,
        PasswordChange::TooOften(_) => SignInFailure::TooOften,
        _ => SignInFailure::WrongPassword,
    };
    app.tell(origin, &Event::SignInFailed { user: Some(user), failure }).await;
    Ok(outcome)
}

/// The hash of the caller's password, if that is what was typed. One password is hashed whatever comes, as at a sign-in.
async fn checked_hash(
    app: &App,
    permit: Permit,
    live: &LiveCaller,
    typed: &str,
) -> Result<Option<String>, Failure> {
    let found = app.store.credentials(&live.profile.username).await?;
    // A name can have gone to somebody else meanwhile.
    let own = found.filter(|found| found.user.id == live.caller.session.user);
    let hash = own.and_then(|own| own.password_hash);
    let right = match Password::parse(typed) {
        Ok(password) => permit.verify(password, hash.clone()).await?,
        Err(_) => permit.refuse().await?,
    };
    Ok(hash.filter(|_| right))
}
