//! What the store and the audit trail know of a session and of its end.

use relatch_domain::event::Event;
use relatch_domain::session::EndReason;
use relatch_domain::{SessionRef, UnixMillis, UnixSeconds};

use crate::app::audit::AuditRecord;
use crate::app::audit::read::{AuditFilter, read_audit};
use crate::app::session_history::{SessionState, state_of};
use crate::app::sessions::sessions_of;
use crate::app::timeline::{Entry, entries};
use crate::app::{App, Failure};
use crate::store::Party;

/// How many pages of the trail are looked at for what ended a session.
const PAGES: usize = 20;
/// Records on a page.
const PAGE: usize = 100;
/// By how many milliseconds the time of an end, which is the store's, and that of its record may differ.
const ABOUT: u64 = 60_000;

/// What is known of a session.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The user's name, if there is such a user or the trail has it.
    pub username: Option<String>,
    /// What the store has of the session.
    pub session: Option<SessionFacts>,
    /// What the audit trail has of its end: who did it; of a session that the store has forgotten also why.
    pub record: Option<EndRecord>,
}

/// What the store has of a session.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// What has become of it.
    pub state: SessionState,
    /// What happened, the earliest first.
    pub entries: Vec<Entry>,
    /// When it expires or expired if it is not used.
    pub expires: UnixSeconds,
    /// Sessions that began before this are over: everyone's or those of the client.
    pub cutoff: UnixMillis,
}

/// The end of a session as the audit trail has it.
#[derive(Debug, Clone, Default)]
pub struct EndRecord {
    /// When.
    pub at: UnixMillis,
    /// The event.
    pub event: String,
    /// The reason in it.
    pub reason: Option<EndReason>,
    /// Who did it: `user`, `operator` and so on.
    pub actor_kind: String,
    /// The name of the user who did it.
    pub actor: Option<String>,
    /// From where and with what.
    pub party: Party,
    /// Of a reuse: who had refreshed last.
    pub other: Option<Party>,
}

/// Asks the store and the trail what they know of a session.
///
/// # Errors
/// If the store fails.
pub async fn gather(app: &App, session: SessionRef) -> Result<Facts, Failure> {
    let all = sessions_of(app, session.user).await?;
    let history = app.store.history(session).await?;
    let stored = all.sessions.iter().find(|stored| stored.id == session.session);
    let cutoffs = app.node.cutoffs.all();
    let known = stored.map(|stored| {
        let state = state_of(stored.id, &stored.record, all.now, &cutoffs);
        SessionFacts {
            state,
            entries: entries(stored, &history, all.now),
            expires: stored.record.idle_deadline,
            cutoff: match state {
                SessionState::Ended { reason: EndReason::SignedInBefore, .. } => cutoffs.everyone,
                _ => cutoffs.of(stored.record.client).at,
            },
        }
    });
    let record = match known.as_ref().map(|known| known.state) {
        Some(SessionState::Ended { at, reason }) => find(app, session, at, Some(reason)).await?,
        Some(SessionState::Live | SessionState::Expired) => None,
        None => find(app, session, None, None).await?,
    };
    let named =
        record.as_ref().and_then(|record| record.details.get("username")?.as_str().map(str::to_owned));
    let username = all.user.map(|user| user.profile.username.to_string()).or(named);
    let record = match record {
        Some(record) => Some(end_record(app, record).await?),
        None => None,
    };
    Ok(Facts { username, session: known, record })
}

/// The record of what ended a session, about a time if it is known when that was.
async fn find(
    app: &App,
    session: SessionRef,
    at: Option<UnixSeconds>,
    reason: Option<EndReason>,
) -> Result<Option<AuditRecord>, Failure> {
    let around = at.map(|at| at.millis().0);
    let filter = AuditFilter {
        user: Some(session.user),
        since: around.map(|at| UnixMillis(at.saturating_sub(ABOUT))),
        until: around.map(|at| UnixMillis(at.saturating_add(ABOUT))),
        ..AuditFilter::default()
    };
    let mut after = None;
    for _ in 0..PAGES {
        let page = read_audit(app, &filter, after, PAGE).await?;
        if let Some(found) = page.records.into_iter().find(|record| tells_of_the_end(record, session, reason))
        {
            return Ok(Some(found));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(None)
}

/// Whether a record tells what ended the session, for this reason if it is known.
fn tells_of_the_end(record: &AuditRecord, session: SessionRef, reason: Option<EndReason>) -> bool {
    let is_its = record.session.as_deref() == Some(&session.to_string());
    let says = |key: &str| record.details.get(key);
    match record.event.as_str() {
        // That of the user's deletion has the name besides.
        "session_ended" => is_its && says("reason").is_none_or(|reason| reason != Event::USER_DELETED),
        "refresh" => is_its && says("verdict").is_some_and(|verdict| verdict == "reuse"),
        "user_deleted" => reason.is_none(),
        "password_changed" => reason == Some(EndReason::PasswordChanged),
        "user_changed" => match reason {
            Some(EndReason::PasswordChanged) => says("password").is_some_and(|set| set == true),
            Some(EndReason::UserDisabled) => says("disabled").is_some_and(|set| set == true),
            _ => false,
        },
        _ => false,
    }
}

async fn end_record(app: &App, record: AuditRecord) -> Result<EndRecord, Failure> {
    let actor = match record.actor.user.as_deref().map(str::parse) {
        Some(Ok(id)) => app.store.user(id).await?.map(|user| user.profile.username.to_string()),
        _ => None,
    };
    let text = |key: &str| record.details.get(key).and_then(|value| value.as_str());
    let reason = match text("verdict") {
        Some("reuse") => Some(EndReason::Reuse),
        _ => text("reason").and_then(|code| EndReason::ALL.into_iter().find(|reason| reason.code() == code)),
    };
    Ok(EndRecord {
        at: UnixMillis(record.at),
        reason,
        actor_kind: record.actor.kind.clone(),
        actor,
        other: record.details.get("other").and_then(|other| serde_json::from_value(other.clone()).ok()),
        event: record.event,
        party: Party { address: record.address, user_agent: record.user_agent },
    })
}
