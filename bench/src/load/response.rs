//! Reads HTTP/1.1 responses (RFC 9112) out of a growing buffer.

/// Longest response, in bytes, that is waited for.
pub const MAX_LEN: usize = 1024 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_TRAILERS: usize = 16;

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The body, freed of its framing.
    pub body: Vec<u8>,
    /// Whether the server closes the connection after it.
    pub last: bool,
    /// After how many seconds to come again (RFC 9110, section 10.2.3).
    pub retry_after: Option<u64>,
}

/// Not a response that leaves the connection usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// Not HTTP/1.1.
    #[error("not an HTTP response: {0}")]
    Malformed(#[from] httparse::Error),
    /// A chunk has no size.
    #[error("a chunk without a size or an end")]
    Chunk,
    /// Its end cannot be known (RFC 9112, section 6.3), or only by the end of the connection.
    #[error("a body of unknown length")]
    Unframed,
    /// Longer than [`MAX_LEN`].
    #[error("a response of more than {MAX_LEN} bytes")]
    TooLong,
}

enum Framing {
    Length(usize),
    Chunked,
}

/// The response at the beginning of `buffer` and its length there; nothing if it is not complete yet.
///
/// # Errors
/// If what is there can never become a response.
pub fn parse(buffer: &[u8]) -> Result<Option<(Response, usize)>, BadResponse> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_len) = head.parse(buffer)? else {
        return if buffer.len() > MAX_LEN { Err(BadResponse::TooLong) } else { Ok(None) };
    };
    let status = head.code.unwrap_or_default();
    let rest = buffer.get(head_len..).unwrap_or_default();
    let body = match framing(status, head.headers)? {
        Framing::Length(length) if length > MAX_LEN => return Err(BadResponse::TooLong),
        Framing::Length(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
        Framing::Chunked => dechunk(rest)?,
    };
    let last = values(head.headers, "connection").any(|value| value.eq_ignore_ascii_case(b"close"));
    let retry_after = values(head.headers, "retry-after").next().and_then(decimal);
    match body {
        Some((body, body_len)) => {
            Ok(Some((Response { status, body, last, retry_after }, head_len + body_len)))
        }
        None if buffer.len() > MAX_LEN => Err(BadResponse::TooLong),
        None => Ok(None),
    }
}

fn framing(status: u16, headers: &[httparse::Header<'_>]) -> Result<Framing, BadResponse> {
    if matches!(status, 100..200 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = values(headers, "transfer-encoding").next() {
        let chunked = coding.eq_ignore_ascii_case(b"chunked");
        return if chunked { Ok(Framing::Chunked) } else { Err(BadResponse::Unframed) };
    }
    let mut lengths = values(headers, "content-length");
    match (lengths.next(), lengths.next()) {
        (Some(length), None) => decimal(length).map(Framing::Length).ok_or(BadResponse::Unframed),
        _ => Err(BadResponse::Unframed),
    }
}

fn values<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Digits and nothing else; `str::parse` would take a sign as well.
fn decimal<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// The chunked body at the beginning of `buffer` and its length there (RFC 9112, section 7.1).
fn dechunk(buffer: &[u8]) -> Result<Option<(Vec<u8>, usize)>, BadResponse> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = buffer.get(at..).unwrap_or_default();
        let (line_len, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(line)) => line,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(BadResponse::Chunk),
        };
        at += line_len;
        if size == 0 {
            return Ok(trailer_len(buffer.get(at..).unwrap_or_default())?.map(|len| (body, at + len)));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_LEN).ok_or(BadResponse::TooLong)?;
        let Some(chunk) = buffer.get(at..at + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        at += size;
        match buffer.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(BadResponse::Chunk),
            None => return Ok(None),
        }
    }
}

fn trailer_len(buffer: &[u8]) -> Result<Option<usize>, BadResponse> {
    let mut trailers = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    match httparse::parse_headers(buffer, &mut trailers)? {
        httparse::Status::Complete((len, _)) => Ok(Some(len)),
        httparse::Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_length(status: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    fn chunked(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in chunks {
            bytes.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
        bytes
    }

    proptest! {
        #[test]
        fn a_body_is_read_whole_and_no_further(
            status in 200_u16..600, body: Vec<u8>, next: Vec<u8>,
        ) {
            prop_assume!(status != 204 && status != 304);
            let response = with_length(status, &body);
            let buffer = [response.clone(), next].concat();
            let whole = Response { status, body, last: false, retry_after: None };
            prop_assert_eq!(parse(&buffer), Ok(Some((whole, response.len()))));
        }

        #[test]
        fn a_chunked_body_is_read_whole_and_no_further(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            next: Vec<u8>,
        ) {
            let response = chunked(&chunks);
            let buffer = [response.clone(), next].concat();
            let whole = Response { status: 200, body: chunks.concat(), last: false, retry_after: None };
            prop_assert_eq!(parse(&buffer), Ok(Some((whole, response.len()))));
        }

        #[test]
        fn a_part_of_a_response_is_waited_for(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..4),
            body in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            for response in [chunked(&chunks), with_length(200, &body)] {
                for end in 0..response.len() {
                    prop_assert_eq!(parse(&response[..end]), Ok(None), "after {} bytes", end);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", bytes.as_slice()].concat());
        }
    }

    #[test]
    fn a_response_without_a_body_ends_with_its_head() {
        let response = b"HTTP/1.1 204 No Content\r\nConnection: close\r\nRetry-After: 3\r\n\r\n";
        let whole = Response { status: 204, body: Vec::new(), last: true, retry_after: Some(3) };
        assert_eq!(parse(response), Ok(Some((whole, response.len()))));
    }

    #[test]
    fn a_body_of_unknown_length_is_refused() {
        for header in [
            "X: y",
            "Content-Length: +1",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 99999999999999999999999",
            "Transfer-Encoding: gzip",
        ] {
            let response = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\nabc");
            assert_eq!(parse(response.as_bytes()), Err(BadResponse::Unframed), "{header}");
        }
    }

    #[test]
    fn an_endless_response_is_refused() {
        let announced = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_LEN + 1);
        assert_eq!(parse(announced.as_bytes()), Err(BadResponse::TooLong));
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n";
        assert_eq!(parse(chunk), Err(BadResponse::TooLong));
        let header = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'y'; MAX_LEN]].concat();
        assert_eq!(parse(&header), Err(BadResponse::TooLong));
    }

    #[test]
    fn a_chunk_that_does_not_end_where_it_says_is_refused() {
        let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n";
        assert_eq!(parse(response), Err(BadResponse::Chunk));
    }
}
