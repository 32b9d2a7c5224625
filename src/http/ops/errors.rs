//! `GET /errors/{code}`: what a problem's `type` refers to.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::{Answer, ApiError, Code, Entry};
use crate::http::openapi::{problems, tag};

/// What is the same for all problems of a kind.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemKind)]
pub struct KindAnswer {
    /// The stable code.
    #[schema(examples("invalid_token"))]
    error: &'static str,
    /// The HTTP status.
    #[schema(examples(401))]
    status: u16,
    /// The kind in a few words.
    #[schema(examples("Invalid access token"))]
    title: &'static str,
    /// What it means.
    #[schema(examples("The access token was not issued by this server for this use."))]
    detail: &'static str,
}

problems!(DescribeProblems:; NotFound);

/// Answers 200 with what is the same for all problems of the kind.
///
/// # Errors
/// 404 for a code that does not exist.
#[utoipa::path(
    get, path = "/errors/{code}", operation_id = "describeProblem", tag = tag::OPERATIONS,
    summary = "What a problem's type refers to",
    description = "What is the same for all problems of a kind.",
    security(()),
    params(("code" = String, Path, description = "The code", example = "invalid_token")),
    responses((status = 200, description = "The kind", body = KindAnswer), DescribeProblems),
)]
pub async fn describe(request: HttpRequest) -> Answer<HttpResponse> {
    let asked = request.match_info().get("code").unwrap_or_default();
    let entry = Code::ALL.map(Code::entry).into_iter().find(|entry| entry.error == asked);
    let entry = entry.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let Entry { error, status, title, detail, .. } = entry;
    Ok(HttpResponse::Ok().json(KindAnswer { error, status, title, detail }))
}
