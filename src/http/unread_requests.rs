//! Answers to what cannot be read as a request.
//!
//! The HTTP library answers a head or a chunk that is not well-formed, or that does not come in time, by itself: with a
//! status and nothing else. Before such an answer is written, one in the form of all others takes its place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::error::{ApiError, Code};
use crate::ambient::Random;
use crate::telemetry::request::{Told, UnderWay};

/// How each of the library's answers begins, up to the code.
const BEGINNING: &[u8] = b"HTTP/1.1 4";
/// How the head of an answer ends, which is all that the library's own have.
const END: &[u8] = b"\r\n\r\n";
/// Stands in all answers but the library's own.
const REQUEST_ID: &[u8] = b"x-request-id";

/// The answer to a head that is too long, as it goes over the wire.
pub(super) fn headers_too_large() -> Vec<u8> {
    answer(431, &ApiError::new(Code::HeadersTooLarge))
}

/// Replaces what the library says by itself on one connection.
#[derive(Default)]
pub(super) struct Replacing {
    /// The answer that is being written, and how much of it is.
    answer: Option<(Vec<u8>, usize)>,
}

impl Replacing {
    /// Writes bytes of the library, or what takes their place; then all of them count as written.
    pub(super) fn poll_write<T: AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.answer.is_none() {
            match own_answer(bytes) {
                None => return Pin::new(io).poll_write(cx, bytes),
                Some((0, status, problem)) => self.answer = Some((answer(status, &problem), 0)),
                // First the answers before it.
                Some((start, ..)) => {
                    return Pin::new(io).poll_write(cx, bytes.get(..start).unwrap_or_default());
                }
            }
        }
        while let Some((answer, written)) = &mut self.answer {
            let rest = answer.get(*written..).unwrap_or_default();
            if rest.is_empty() {
                self.answer = None;
                break;
            }
            match Pin::new(&mut *io).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(0)),
                Poll::Ready(Ok(more)) => *written += more,
                other => return other,
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }
}

/// Where, in bytes that are about to be written, an answer of the library's own begins, its status, and the problem that is
/// said in its place. It is the last one of its connection, and has no body.
fn own_answer(bytes: &[u8]) -> Option<(usize, u16, ApiError)> {
    if !bytes.ends_with(END) {
        return None;
    }
    let start = bytes.windows(BEGINNING.len()).rposition(|window| window == BEGINNING)?;
    let head = bytes.get(start..)?;
    let ends_early = head.windows(END.len()).position(|window| window == END)? + END.len() < head.len();
    let has_id = head.windows(REQUEST_ID.len()).any(|window| window.eq_ignore_ascii_case(REQUEST_ID));
    if ends_early || has_id {
        return None;
    }
    let (status, problem) = match head.get(BEGINNING.len()..BEGINNING.len() + 3)? {
        b"00 " => (
            400,
            ApiError::invalid_request(
                "This is not well-formed HTTP/1.1, or its target is longer than 65,534 bytes.",
            ),
        ),
        b"08 " => (408, ApiError::new(Code::RequestTimeout)),
        b"31 " => (431, ApiError::new(Code::HeadersTooLarge)),
        _ => return None,
    };
    Some((start, status, problem))
}

/// An answer to a request that was not read: as it goes over the wire, and with the one line of the log that each request
/// has.
fn answer(status: u16, problem: &ApiError) -> Vec<u8> {
    let under_way = UnderWay { id: Random.uuid().unwrap_or_default(), told: Told::default() };
    let id = under_way.id.to_string();
    under_way.tell(|| {
        tracing::info!(
            event = "request",
            method = "other",
            route = "unknown",
            status,
            micros = 0_u64,
            "answered"
        );
    });
    let (body, reason) = (problem.text(&id), reason(status));
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: {id}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn reason(status: u16) -> &'static str {
    let known = actix_web::http::StatusCode::from_u16(status).ok();
    known.and_then(|status| status.canonical_reason()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[test]
    fn an_answer_without_an_id_at_the_end_is_the_librarys() {
        let ours = "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nX-Request-Id: 1\r\n\r\n{}";
        let empty = "HTTP/1.1 404 Not Found\r\nX-Request-Id: 1\r\n\r\n";
        let start = |text: &str| own_answer(text.as_bytes()).map(|(start, ..)| start);
        assert_eq!(start(OWN), Some(0));
        assert_eq!(start(&format!("{ours}{OWN}")), Some(ours.len()));
        assert_eq!(start(&format!("{empty}{OWN}")), Some(empty.len()));
        let chunked = format!("{OWN}0\r\n\r\n");
        for other in
            [ours, empty, "HTTP/1.1 100 Continue\r\n\r\n", "0\r\n\r\n", "", &OWN[..OWN.len() - 2], &chunked]
        {
            assert_eq!(start(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_takes_its_place_has_a_body_and_an_id() {
        for (code, error) in
            [("400", "invalid_request"), ("408", "request_timeout"), ("431", "headers_too_large")]
        {
            let own = OWN.replace("400", code);
            let (_, status, problem) = own_answer(own.as_bytes()).unwrap();
            let answer = String::from_utf8(answer(status, &problem)).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{head}");
            assert!(
                head.contains(&format!("X-Request-Id: {}", body["instance"].as_str().unwrap())),
                "{head}"
            );
            assert_eq!(body["error"], error);
        }
    }
}
