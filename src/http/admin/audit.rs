//! `GET /admin/audit`: what happened, the latest first.

use actix_web::{HttpResponse, web};
use relatch_domain::event::Event;
use relatch_domain::{UnixMillis, base64url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::App;
use crate::app::audit::read::{ActorFilter, AuditFilter, AuditPlace, read_audit};
use crate::app::audit::{ACTOR_KINDS, AuditActor, AuditRecord};
use crate::http::error::{Answer, ApiError};
use crate::http::extract::query::{Limit, Query};
use crate::http::extract::{Admin, Then};
use crate::rfc3339;
use crate::store::AuditId;

/// The query: records are shown for which everything holds that is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What happened: an event's name.
    event: Option<String>,
    /// Who did it: a user's id, or `anonymous`, `user`, `operator` or `server`.
    actor: Option<String>,
    /// To whom: a user's id.
    user: Option<String>,
    /// To which session.
    session: Option<String>,
    /// At this time or later (RFC 3339).
    since: Option<String>,
    /// Before this time (RFC 3339).
    until: Option<String>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct AuditAnswer {
    items: Vec<Item>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Item {
    at: String,
    event: String,
    actor: AuditActor,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    details: Map<String, Value>,
}

/// Answers 200 with a page of audit records. One call looks at 5,000 records at the most: a page may be shorter than
/// `limit`, or empty, while `next_cursor` says where to go on.
///
/// # Errors
/// The documented problems.
pub async fn list(app: web::Data<App>, request: Then<Admin, Query<Params>>) -> Answer<HttpResponse> {
    let Then(_, Query(params)) = request;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let page = read_audit(&app, &filter(&params)?, after, params.limit.get()).await?;
    Ok(HttpResponse::Ok().json(AuditAnswer {
        items: page.records.into_iter().map(Item::of).collect(),
        next_cursor: page.next.map(cursor),
    }))
}

impl Item {
    fn of(record: AuditRecord) -> Self {
        Self {
            at: rfc3339::millis(UnixMillis(record.at)),
            event: record.event,
            actor: record.actor,
            user: record.user,
            session: record.session,
            address: record.address,
            user_agent: record.user_agent,
            request_id: record.request_id,
            details: record.details,
        }
    }
}

fn filter(params: &Params) -> Answer<AuditFilter> {
    let filter = AuditFilter {
        event: read("event", "is not an event", params.event.as_deref(), |name| one_of(&Event::NAMES, name))?,
        actor: read(
            "actor",
            "is neither a user's id nor a kind of actor",
            params.actor.as_deref(),
            |actor| {
                let kind = one_of(&ACTOR_KINDS, actor).map(ActorFilter::Kind);
                kind.or_else(|| actor.parse().ok().map(ActorFilter::User))
            },
        )?,
        user: read("user", "is not a user's id", params.user.as_deref(), |id| id.parse().ok())?,
        session: read("session", "is not a session's id", params.session.as_deref(), |id| id.parse().ok())?,
        since: read("since", "is not a time in RFC 3339", params.since.as_deref(), rfc3339::parse)?,
        until: read("until", "is not a time in RFC 3339", params.until.as_deref(), rfc3339::parse)?,
    };
    match (filter.since, filter.until) {
        (Some(since), Some(until)) if until < since => {
            Err(ApiError::invalid_field("until", "is earlier than since"))
        }
        _ => Ok(filter),
    }
}

/// Reads a parameter, if it came.
fn read<T>(
    name: &str,
    problem: &str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Answer<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| ApiError::invalid_field(name, problem))
}

fn one_of(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().copied().find(|known| *known == name)
}

fn cursor(place: AuditPlace) -> String {
    let AuditPlace { acts, refused } = place;
    let numbers = [acts.millis, acts.seq, refused.millis, refused.seq].map(u64::to_be_bytes);
    base64url::encode(numbers.as_flattened())
}

fn read_cursor(cursor: &str) -> Answer<AuditPlace> {
    let bytes = base64url::decode_exact::<32>(cursor);
    let bytes = bytes.ok_or_else(|| ApiError::invalid_field("cursor", "is not one of ours"))?;
    let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
    let mut id =
        || AuditId { millis: numbers.next().unwrap_or_default(), seq: numbers.next().unwrap_or_default() };
    Ok(AuditPlace { acts: id(), refused: id() })
}
