//! Query parameters: unknown and repeated ones are refused, like fields of a body.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use crate::http::error::{Answer, ApiError};

/// The query parameters of a request.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = actix_web::web::Query::<T>::from_query(request.query_string());
        let refused =
            |_| ApiError::invalid_request("a query parameter is unknown, repeated or has a wrong value");
        std::future::ready(query.map(|query| Self(query.into_inner())).map_err(refused))
    }
}

/// The query of a request that takes none.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The query of a list.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// How many items.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<String>,
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
