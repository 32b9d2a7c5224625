//! What clients read when something goes wrong. No text of an internal error ever comes here.

mod catalogue;

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

pub use catalogue::{Code, Entry};

use crate::app::Failure;
use crate::app::caller::NotLetIn;
use crate::store::StoreError;

/// A problem (RFC 9457): a code of the catalogue, and what is special about this occurrence.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Code,
    detail: Option<String>,
    fields: Vec<FieldError>,
    reason: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A field of a request that is not what it should be.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name, as a path from the top of the body.
    #[schema(examples("username"))]
    pub field: String,
    /// What is wrong with it.
    #[schema(examples("is missing"))]
    pub message: String,
}

/// A problem as it is sent (RFC 9457, section 3).
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    /// The kind of problem; the address describes it.
    #[schema(format = "uri-reference")]
    r#type: String,
    /// The kind in a few words.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened, for people.
    detail: &'a str,
    /// The id of the request, as in `X-Request-Id`.
    #[schema(format = Uuid)]
    instance: &'a str,
    /// The kind as a stable code, for programs.
    error: &'a str,
    /// Why a session ended, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'a str>,
    /// The fields of the request that are not what they should be.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldError],
}

impl ApiError {
    /// A problem of this kind, with the catalogue's words.
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, fields: Vec::new(), reason: None, headers: Vec::new() }
    }

    /// A request that cannot be understood. `detail` must not repeat what the client sent.
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(Code::InvalidRequest) }
    }

    /// A request with one field that is not what it should be.
    pub fn invalid_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let field = FieldError { field: field.into(), message: message.into() };
        let detail = format!("{}: {}", field.field, field.message);
        Self { fields: vec![field], ..Self::invalid_request(detail) }
    }

    /// A revocation, or another change that must not be lost, that is in force but that too few replicas have heard of.
    pub fn not_durable() -> Self {
        let detail = "The request is carried out, but it is not known to survive a failover yet. Repeat it.";
        let refusal = Self { detail: Some(detail.to_owned()), ..Self::new(Code::TemporarilyUnavailable) };
        refusal.retry_after(1)
    }

    /// A password that was not looked at, for there were too many failures: the next try has to wait so long.
    pub fn too_many_attempts(wait: Duration) -> Self {
        let seconds = seconds(wait);
        // Pages show it to people, who do not read header fields.
        let detail = format!(
            "There were too many failed sign-ins. The password was not looked at; try again in {seconds} s."
        );
        Self { detail: Some(detail), ..Self::new(Code::TooManyAttempts) }.wait(wait)
    }

    /// `Retry-After`, in seconds that are never too few (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        self.retry_after(seconds(wait))
    }

    /// A sign-in that is older than `max_age` (RFC 9470, section 3).
    pub fn sign_in_too_old(max_age: Duration) -> Self {
        let challenge = format!(
            r#"Bearer error="insufficient_user_authentication", error_description="A more recent sign-in is required", max_age="{}""#,
            max_age.as_secs()
        );
        Self::new(Code::InsufficientUserAuthentication).header(header::WWW_AUTHENTICATE, &challenge)
    }

    /// The same, in other words than the catalogue's. They must not repeat what the client sent.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same, with the reason code of a session's end.
    #[must_use]
    pub fn reason(self, reason: Option<&'static str>) -> Self {
        Self { reason, ..self }
    }

    /// The same, with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            // It may be a cookie, and this type can be printed.
            value.set_sensitive(true);
            self.headers.push((name, value));
        }
        self
    }

    /// The same, to be tried again after so many seconds (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// The body alone, as JSON.
    pub fn text(&self, instance: &str) -> String {
        serde_json::to_string(&self.problem(instance)).unwrap_or_default()
    }

    /// The whole response, `instance` being the id of the request.
    pub fn render(&self, instance: &str) -> HttpResponse {
        let (entry, problem) = (self.code.entry(), self.problem(instance));
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(challenge) = entry.challenge {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        for (name, value) in &self.headers {
            response.insert_header((name, value));
        }
        response.content_type("application/problem+json").json(problem)
    }

    fn problem<'a>(&'a self, instance: &'a str) -> Problem<'a> {
        let entry = self.code.entry();
        Problem {
            r#type: format!("/errors/{}", entry.error),
            title: entry.title,
            status: entry.status,
            detail: self.detail.as_deref().unwrap_or(entry.detail),
            instance,
            error: entry.error,
            reason: self.reason,
            fields: &self.fields,
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.entry().error)
    }
}

impl From<NotLetIn> for ApiError {
    fn from(refused: NotLetIn) -> Self {
        match refused {
            NotLetIn::InvalidToken => Self::new(Code::InvalidToken),
            NotLetIn::TokenExpired => Self::new(Code::TokenExpired),
            NotLetIn::SessionRevoked(reason) => {
                Self::new(Code::SessionRevoked).reason(reason.map(relatch_domain::session::EndReason::code))
            }
            NotLetIn::SessionExpired => Self::new(Code::SessionExpired),
            NotLetIn::UserDisabled => Self::new(Code::UserDisabled),
            NotLetIn::TooOften(wait) => Self::new(Code::TooManyRequests).wait(wait),
        }
    }
}

impl From<Failure> for ApiError {
    /// Logs the failure, here and only here, and tells the client what it may do.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(
                StoreError::Unavailable(_) | StoreError::Indeterminate(_) | StoreError::Misconfigured(_),
            )
            | Failure::NotReady
            | Failure::Contended => {
                tracing::warn!(error = %failure, "temporarily unavailable");
                Self::new(Code::TemporarilyUnavailable).retry_after(1)
            }
            Failure::UnknownKey => {
                // Nor a stranger's flood of made-up keys.
                tracing::debug!(error = %failure, "temporarily unavailable");
                Self::new(Code::TemporarilyUnavailable).retry_after(1)
            }
            Failure::Busy(again) => {
                // A flood of sign-ins is not to be one of warnings; the line of the request tells of it.
                tracing::debug!(error = %failure, "temporarily unavailable");
                Self::new(Code::TemporarilyUnavailable).retry_after(again.as_secs())
            }
            Failure::Store(StoreError::Corrupt(_)) | Failure::Internal(_) => {
                tracing::error!(error = %failure, "internal error");
                Self::new(Code::InternalError)
            }
        }
    }
}

/// The answer to a path that does not exist.
pub async fn not_found() -> ApiError {
    ApiError::new(Code::NotFound)
}

/// What a handler returns.
pub type Answer<T> = Result<T, ApiError>;

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Leaves the problem with the response: the envelope, which knows the request's id, renders it.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl Responder for ApiError {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

/// A wait in whole seconds, rounded up and at least 1: a client that is told 0 would repeat at once.
fn seconds(wait: Duration) -> u64 {
    wait.as_nanos().div_ceil(1_000_000_000).try_into().unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        let told = [0, 1, 999_999_999, 1_000_000_000, 1_000_000_001].map(Duration::from_nanos).map(seconds);
        assert_eq!(told, [1, 1, 1, 1, 2]);
    }
}
