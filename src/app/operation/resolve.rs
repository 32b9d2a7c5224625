//! Operations that their makers have left behind: any node finishes them.

use std::time::Duration;

use relatch_domain::cutoff::Whose;
use relatch_domain::event::Event;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::session::EndReason;
use relatch_domain::{ClientNumber, OperationId, SessionRef, UnixMillis, UserId};

use super::{Done, Form, What};
use crate::app::audit::AuditRecord;
use crate::app::cutoff::entry;
use crate::app::revocations::Remembered;
use crate::app::{App, Failure};
use crate::store::{CutoffRaised, EndStep, JournalWrite, NewEntry, OpenOperation, StoreError};

/// After how long an operation is not left to its maker any more.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// The same for one of which it cannot be told whether it was carried out: no request is under way for so long.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// Finishes the operations that have been open for more than a second.
///
/// # Errors
/// The first error of the store. The other operations are seen to nevertheless.
pub(in crate::app) async fn resolve_open(app: &App) -> Result<(), Failure> {
    let mut failure = None;
    let (all, now) = app.node.revocations.open_operations();
    for open in all {
        let Some(form) = Form::read(&open) else { continue };
        // A store whose clock was set back has operations from its future.
        if open.opened_at <= now && now.age_since(open.opened_at) < left_alone(&form.what) {
            continue;
        }
        match resolve(app, &open, &form).await {
            Ok(()) => tracing::info!(operation = %open.id, "finished what another request had begun"),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Finishes the open operations on a user, however new they are: one that was not carried out yet never is.
///
/// # Errors
/// If the store fails.
pub(in crate::app) async fn resolve_of_user(app: &App, user: UserId) -> Result<(), Failure> {
    for open in app.node.revocations.open_operations().0 {
        let Some(form) = Form::read(&open) else { continue };
        if form.what.user() == Some(user) {
            resolve(app, &open, &form).await?;
        }
    }
    Ok(())
}

/// For how long an operation is left to its maker.
const fn left_alone(what: &What) -> Duration {
    match what {
        What::Rotate | What::Act => GIVEN_UP,
        What::Create { .. }
        | What::End { .. }
        | What::Hold { .. }
        | What::Change { .. }
        | What::Delete { .. }
        | What::Cutoff { .. } => LEFT_BEHIND,
    }
}

async fn resolve(app: &App, open: &OpenOperation, form: &Form) -> Result<(), Failure> {
    match &form.what {
        What::End { user, only, spared, begun_before, reason, note, sessions } => {
            // What its maker had announced may have been lost, with the operation.
            let entries = form.entries(*user, *reason, sessions);
            announce_again(app, open, entries).await?;
            let scope = match (only, spared) {
                (Some(only), _) => Scope::One(*only),
                (None, Some(spared)) => Scope::AllBut(*spared),
                (None, None) => Scope::All,
            };
            let begun_before = begun_before.map(UnixMillis);
            let step = EndStep { user: *user, scope, begun_before, reason: *reason, note: note.clone() };
            end(app, open.id, form, step).await
        }
        What::Hold { sessions } => hold(app, open, sessions).await,
        What::Change { user } => {
            if !was_carried_out(app, *user, open.id).await? {
                return drop_it(app, open.id).await;
            }
            let found = app.store.sessions_of(*user).await?;
            let dead: Vec<_> = found.sessions.iter().map(|stored| (stored.id, stored.record)).collect();
            conclude(app, open.id, form, Done { dead: &dead, ..Done::default() }).await
        }
        What::Delete { user } => delete(app, open.id, form, *user).await,
        What::Create { user } => {
            if !was_carried_out(app, *user, open.id).await? {
                return drop_it(app, open.id).await;
            }
            conclude(app, open.id, form, Done::default()).await
        }
        What::Cutoff { client, at } => {
            let whose = client.map_or(Whose::Everyone, |client| Whose::Client(ClientNumber(client)));
            raise_cutoff(app, open, form, whose, UnixMillis(*at)).await
        }
        What::Rotate => {
            // It may have left two keys that sign, or none that is next.
            app.keys.load_or_create(&*app.store, &*app.clock, app.random).await?;
            conclude(app, open.id, &interrupted(form), Done::default()).await
        }
        What::Act => conclude(app, open.id, &interrupted(form), Done::default()).await,
    }
}

/// The form with records which say that nobody knows how far it got.
fn interrupted(form: &Form) -> Form {
    let mark = |mut record: AuditRecord| {
        record.details.insert("interrupted".to_owned(), true.into());
        record
    };
    Form { records: form.records.iter().cloned().map(mark).collect(), ..form.clone() }
}

async fn delete(app: &App, id: OperationId, form: &Form, user: UserId) -> Result<(), Failure> {
    if !was_carried_out(app, user, id).await? {
        return drop_it(app, id).await;
    }
    // What may be left of the name goes as well.
    let deleted = app.store.delete_user(user, None).await?;
    let record = deleted.and_then(|deleted| {
        let username = deleted.user.profile.username;
        form.ended.of_event(&Event::UserDeleted { user, username }).to_json()
    });
    let entry = NewEntry { revocation: Revocation::User(user), record };
    conclude(app, id, form, Done { entry: Some(entry), ..Done::default() }).await
}

async fn raise_cutoff(
    app: &App,
    open: &OpenOperation,
    form: &Form,
    whose: Whose,
    at: UnixMillis,
) -> Result<(), Failure> {
    if whose == Whose::Everyone && at > open.opened_at {
        // Its maker was refused: the time had not come. By now it may have.
        return drop_it(app, open.id).await;
    }
    match app.store.raise_cutoff(whose, at).await? {
        CutoffRaised::InFuture => drop_it(app, open.id).await,
        CutoffRaised::Raised { durable: false, .. } => Err(too_few_replicas()),
        CutoffRaised::Raised { cutoff, .. } => {
            app.node.cutoffs.learn(whose, cutoff);
            let entry = Some(entry(whose, cutoff));
            conclude(app, open.id, form, Done { entry, ..Done::default() }).await
        }
    }
}

/// Whether an operation was carried out, for good: what is announced next must not be lost again.
async fn was_carried_out(app: &App, user: UserId, operation: OperationId) -> Result<bool, Failure> {
    let settled = app.store.settle_operation(user, operation).await?;
    if settled.durable { Ok(settled.carried_out) } else { Err(too_few_replicas()) }
}

fn too_few_replicas() -> Failure {
    StoreError::Unavailable("too few replicas know how an operation stands".to_owned()).into()
}

async fn announce_again(app: &App, open: &OpenOperation, entries: Vec<NewEntry>) -> Result<(), Failure> {
    let again = Some((open.id, open.form.clone()));
    let write = JournalWrite { open: again, entries, ..JournalWrite::default() };
    if app.write_journal(write).await?.durable { Ok(()) } else { Err(too_few_replicas()) }
}

async fn end(app: &App, id: OperationId, form: &Form, step: EndStep) -> Result<(), Failure> {
    let ended = app.store.end_sessions(&step).await?;
    if !ended.durable {
        return Err(too_few_replicas());
    }
    conclude(app, id, form, Done { dead: &ended.dead, ..Done::default() }).await
}

async fn hold(app: &App, open: &OpenOperation, sessions: &[(SessionRef, EndReason)]) -> Result<(), Failure> {
    let entry = |(session, reason): &(SessionRef, EndReason)| {
        NewEntry::unrecorded(Revocation::Session { session: *session, reason: *reason })
    };
    announce_again(app, open, sessions.iter().map(entry).collect()).await?;
    for (session, reason) in sessions {
        Remembered::Ended(*reason).hold_again(&*app.store, *session).await?;
    }
    drop_it(app, open.id).await
}

async fn conclude(app: &App, id: OperationId, form: &Form, done: Done<'_>) -> Result<(), Failure> {
    app.write_journal(app.conclusion(id, form, done)).await?;
    Ok(())
}

async fn drop_it(app: &App, id: OperationId) -> Result<(), Failure> {
    app.write_journal(JournalWrite { close: Some(id), ..JournalWrite::default() }).await?;
    Ok(())
}
