//! JSON bodies: at most 64 KiB within ten seconds, unknown fields refused, and errors that name the field but never
//! repeat its value.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::names::{quoted_after, shorten, unknown_name};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::openapi::Refuses;

/// Largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Longest time from a request's head to the end of its body.
pub const MAX_TIME: Duration = Duration::from_secs(10);

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body, or the default if the body is empty.
pub struct OptionalJson<T>(pub T);

type Extracting<T> = Pin<Box<dyn Future<Output = Answer<T>>>>;

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = read(&request, payload).await?;
            is_json(&request)?;
            parse(&body).map(Self)
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = read(&request, payload).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            is_json(&request)?;
            parse(&body).map(Self)
        })
    }
}

impl<T> Refuses for Json<T> {
    fn codes() -> Vec<Code> {
        vec![Code::InvalidRequest, Code::RequestTimeout, Code::PayloadTooLarge, Code::UnsupportedMediaType]
    }
}

impl<T> Refuses for OptionalJson<T> {
    fn codes() -> Vec<Code> {
        Json::<T>::codes()
    }
}

/// The whole body. One that announces too much is refused before any of it is read. What has a body has no query: a
/// parameter there is a typo, or a token in the wrong place.
async fn read(request: &HttpRequest, payload: Payload) -> Answer<Bytes> {
    if !request.query_string().is_empty() {
        return Err(ApiError::invalid_request("parameters belong into the body, not into the query"));
    }
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > MAX_BODY as u64) {
        return Err(ApiError::new(Code::PayloadTooLarge));
    }
    is_plain(request)?;
    let mut collecting = pin!(collect(payload));
    // Most bodies came with the head: then no clock is asked.
    if let Some(body) = collecting.as_mut().now_or_never() {
        return body;
    }
    let read = tokio::time::timeout(MAX_TIME, collecting).await;
    read.unwrap_or_else(|_| Err(ApiError::new(Code::RequestTimeout)))
}

async fn collect(mut payload: Payload) -> Answer<Bytes> {
    let mut body = Bytes::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::invalid_request("the body could not be read"))?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(ApiError::new(Code::PayloadTooLarge));
        }
        // A body that came in one piece is not copied.
        body = if body.is_empty() { chunk } else { joined(body, &chunk) };
    }
    Ok(body)
}

fn joined(body: Bytes, chunk: &[u8]) -> Bytes {
    let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    body.extend_from_slice(chunk);
    body.freeze()
}

/// Refuses a body with a content coding, such as gzip: it would be read as something that it is not (RFC 9110, section
/// 15.5.16).
fn is_plain(request: &HttpRequest) -> Answer<()> {
    let mut codings = request.headers().get_all(CONTENT_ENCODING).peekable();
    let is_identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if codings.peek().is_none() || codings.all(is_identity) {
        return Ok(());
    }
    let refusal = ApiError::new(Code::UnsupportedMediaType)
        .detail("The body has a Content-Encoding. Bodies are read without any: send it as it is.");
    Err(refusal.header(ACCEPT_ENCODING, "identity"))
}

fn is_json(request: &HttpRequest) -> Answer<()> {
    let media_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::new(Code::UnsupportedMediaType))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    // serde takes a list for the fields of a struct, one after the other.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    match serde_json::from_slice(body) {
        Ok(value) if is_object => Ok(value),
        _ => Err(what_is_wrong::<T>(body)),
    }
}

/// Reads a body that cannot be taken once more, to say why.
fn what_is_wrong<T: DeserializeOwned>(body: &[u8]) -> ApiError {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
    match read {
        Err(error) => refusal(&error.path().to_string(), error.inner()),
        Ok(_) if deserializer.end().is_err() => {
            ApiError::invalid_request("there is something after the JSON value")
        }
        Ok(_) => ApiError::invalid_request("the body must be a JSON object"),
    }
}

/// What is wrong, in words of our own: serde's messages repeat the value, which may be a password.
fn refusal(path: &str, error: &serde_json::Error) -> ApiError {
    if error.classify() != Category::Data {
        return ApiError::invalid_request("the body is not well-formed JSON");
    }
    let message = error.to_string();
    if let Some(field) = quoted_after(&message, "missing field ") {
        return ApiError::invalid_field(join(path, field), "is missing");
    }
    if let Some(field) = quoted_after(&message, "duplicate field ") {
        return ApiError::invalid_field(join(path, field), "came more than once");
    }
    match path {
        "." | "" => ApiError::invalid_request("the body must be a JSON object"),
        _ if message.starts_with("unknown field") => {
            ApiError::invalid_field(shorten(path), unknown_name("field", path, &message))
        }
        _ => ApiError::invalid_field(shorten(path), "has the wrong type or value"),
    }
}

fn join(path: &str, field: &str) -> String {
    if path == "." { field.to_owned() } else { format!("{}.{field}", shorten(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Login {
        username: String,
        password: String,
    }

    fn refused(body: &str) -> String {
        format!("{:?}", parse::<Login>(body.as_bytes()).err().unwrap())
    }

    #[test]
    fn errors_name_the_field_and_never_its_value() {
        let wrong_type = refused(r#"{"username":"ada","password":123454321}"#);
        assert!(wrong_type.contains("password: has the wrong type"), "{wrong_type}");
        assert!(!wrong_type.contains("123454321"), "{wrong_type}");
        assert!(refused(r#"{"username":"ada"}"#).contains("password: is missing"));
        assert!(refused(r#"{"username":"a","username":"b","password":"c"}"#).contains("came more than once"));
        let unknown = refused(r#"{"email":"ada","password":"x"}"#);
        assert!(unknown.contains("email: is not a known field; known are username, password"), "{unknown}");
        let typo = refused(r#"{"usrname":"ada","password":"x"}"#);
        assert!(typo.contains("usrname: is not a known field; did you mean username? known are"), "{typo}");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in ["", "{", "[]", r#"["ada","x"]"#, "7", "null", "\"x\"", "{}{}", "\u{0}"] {
            assert!(parse::<Login>(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(parse::<Login>(b"{\"username\":\"\xff\",\"password\":\"x\"}").is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse::<Login>(deep.as_bytes()).is_err());
    }
}
