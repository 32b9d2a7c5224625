//! `GET /admin/audit`: what happened, the latest first.

use actix_web::{HttpResponse, web};
use relatch_domain::event::Event;
use relatch_domain::{UnixMillis, base64url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::app::App;
use crate::app::audit::read::{ActorFilter, AuditFilter, AuditPlace, read_audit};
use crate::app::audit::{ACTOR_KINDS, AuditActor, AuditRecord};
use crate::http::answer::Page;
use crate::http::error::{Answer, ApiError};
use crate::http::extract::query::{Limit, Query, read_cursor};
use crate::http::extract::{Admin, Then};
use crate::http::openapi::{problems, tag};
use crate::rfc3339;
use crate::store::EntryId;

/// The query: records are shown for which everything holds that is asked for.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// Which trail: `acts`, with what was refused, or `reads`, what administrators have read.
    #[param(schema_with = trail_name)]
    trail: Option<String>,
    /// What happened: an event's name, such as `session_ended`.
    #[param(schema_with = event_name)]
    event: Option<String>,
    /// Who did it: a user's id, or `anonymous`, `user`, `operator` or `server`.
    #[param(
        nullable = false,
        pattern = "^(anonymous|user|operator|server|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$"
    )]
    actor: Option<String>,
    /// To whom: a user's id.
    #[param(nullable = false, format = Uuid)]
    user: Option<String>,
    /// To which session.
    #[param(nullable = false, pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
    session: Option<String>,
    /// At this time or later.
    #[param(nullable = false, format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(nullable = false, format = DateTime)]
    until: Option<String>,
    /// How many items.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct Item {
    /// When, to the millisecond.
    #[schema(format = DateTime, examples("2026-11-21T10:33:51.204Z"))]
    at: String,
    /// What.
    #[schema(examples("session_ended"))]
    event: String,
    /// Who did it.
    actor: ActorAnswer,
    /// To whom: a user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Uuid, examples("01a1fdab-6a07-786f-997e-d0ae0e2646b6"))]
    user: Option<String>,
    /// To which session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
    session: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("192.0.2.7"))]
    address: Option<String>,
    /// With what agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("curl/8.14"))]
    user_agent: Option<String>,
    /// `X-Request-Id` of the request's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Uuid, examples("55eb66a6-18f9-4532-bfa0-10f876b11a4b"))]
    request_id: Option<String>,
    /// What else there is to say; it differs from event to event.
    #[schema(schema_with = details)]
    details: Map<String, Value>,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditActor)]
pub struct ActorAnswer {
    /// `anonymous`, `user`, `operator` (at the command line) or `server`.
    #[schema(examples("user"))]
    kind: String,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Uuid, examples("01a1fdab-6a07-786f-997e-d0ae0e2646b6"))]
    user: Option<String>,
    /// The user's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
    session: Option<String>,
}

/// The names of the trails.
const TRAILS: [&str; 2] = ["acts", "reads"];

fn trail_name() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(TRAILS))
        .default(Some(json!("acts")))
        .build()
}

fn event_name() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Event::NAMES)).build()
}

fn details() -> Object {
    ObjectBuilder::new()
        .description(Some("What else there is to say; it differs from event to event."))
        .examples([json!({ "reason": "revoked_by_admin" })])
        .build()
}

problems!(ListProblems: Admin, Query<AuditParams>);

/// Answers 200 with a page of audit records. One call looks at 5,000 records at the most: a page may be shorter than
/// `limit`, or empty, while `next_cursor` says where to go on.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/audit", operation_id = "readAudit", tag = tag::ADMIN,
    summary = "Read the audit trail",
    description = "What happened, the latest first; what administrators have read is in a trail of its own. Filters combine. One call looks at 5,000 records at the most: a page \
        may be shorter than `limit`, or empty, while `next_cursor` is not null.",
    security(("bearer" = []), ("accessCookie" = [])), params(AuditParams),
    responses((status = 200, description = "A page of records", body = Page<Item>), ListProblems),
)]
pub async fn list(app: web::Data<App>, request: Then<Admin, Query<AuditParams>>) -> Answer<HttpResponse> {
    let Then(_, Query(params)) = request;
    let after = read_cursor(params.cursor.as_deref(), read_place)?;
    let page = read_audit(&app, &filter(&params)?, after, params.limit.get()).await?;
    let items = page.records.into_iter().map(Item::of).collect();
    Ok(HttpResponse::Ok().json(Page::of(items, page.next.map(cursor))))
}

impl Item {
    fn of(record: AuditRecord) -> Self {
        Self {
            at: rfc3339::millis(UnixMillis(record.at)),
            event: record.event,
            actor: ActorAnswer::of(record.actor),
            user: record.user,
            session: record.session,
            address: record.address,
            user_agent: record.user_agent,
            request_id: record.request_id,
            details: record.details,
        }
    }
}

impl ActorAnswer {
    fn of(actor: AuditActor) -> Self {
        let AuditActor { kind, user, session } = actor;
        Self { kind, user, session }
    }
}

fn filter(params: &AuditParams) -> Answer<AuditFilter> {
    let trail = read("trail", "is not a trail", params.trail.as_deref(), |name| one_of(&TRAILS, name))?;
    let filter = AuditFilter {
        reads: trail == Some("reads"),
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
        since: read("since", "is not a time in RFC 3339", params.since.as_deref(), rfc3339::parse_of_query)?,
        until: read("until", "is not a time in RFC 3339", params.until.as_deref(), rfc3339::parse_of_query)?,
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

fn read_place(cursor: &str) -> Option<AuditPlace> {
    let bytes = base64url::decode_exact::<32>(cursor)?;
    let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
    let mut id =
        || EntryId { millis: numbers.next().unwrap_or_default(), seq: numbers.next().unwrap_or_default() };
    Some(AuditPlace { acts: id(), refused: id() })
}
