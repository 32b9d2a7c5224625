//! Query parameters: unknown and repeated ones are refused, like fields of a body.

use actix_web::dev::Payload;
use actix_web::error::QueryPayloadError;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use super::names::{quoted_after, shorten, unknown_name};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::openapi::Refuses;

/// The query parameters of a request.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = actix_web::web::Query::<T>::from_query(request.query_string());
        let refused = query.map(|query| Self(query.into_inner())).map_err(|error| refusal(&error));
        std::future::ready(refused)
    }
}

/// What is wrong, in words of our own: serde's messages may repeat a value.
fn refusal(error: &QueryPayloadError) -> ApiError {
    let QueryPayloadError::Deserialize(error) = error else {
        return ApiError::invalid_request("the query cannot be read");
    };
    let message = error.to_string();
    let named = |prefix| quoted_after(&message, prefix).map(shorten);
    if let Some(name) = named("unknown field ") {
        let what = unknown_name("parameter", &name, &message);
        return ApiError::invalid_field(name, what);
    }
    if let Some(name) = named("duplicate field ") {
        return ApiError::invalid_field(name, "came more than once");
    }
    if let Some(name) = named("missing field ") {
        return ApiError::invalid_field(name, "is missing");
    }
    ApiError::invalid_request("a query parameter has a wrong value")
}

impl<T> Refuses for Query<T> {
    fn codes() -> Vec<Code> {
        vec![Code::InvalidRequest]
    }
}

/// No query parameters at all.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The query of a list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// How many items.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
}

/// The place after which a page begins, if there is a cursor.
///
/// # Errors
/// 400 for a cursor that we did not write.
pub fn read_cursor<T>(cursor: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Answer<Option<T>> {
    let Some(cursor) = cursor else { return Ok(None) };
    read(cursor).map(Some).ok_or_else(|| ApiError::invalid_field("cursor", "is not one of ours"))
}

/// How many items a page has: 1 to 200, 50 unless said otherwise.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(try_from = "usize")]
pub struct Limit(usize);

impl Limit {
    /// The number of items.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<usize> for Limit {
    type Error = &'static str;

    fn try_from(limit: usize) -> Result<Self, Self::Error> {
        if (1..=200).contains(&limit) { Ok(Self(limit)) } else { Err("a limit is 1 to 200") }
    }
}
