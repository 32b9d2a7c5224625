//! A connection whose bytes are looked at before they are parsed.
//!
//! The HTTP library leaves two things open. A header field's name of 65,536 bytes is beyond what it can hold, and panics. And
//! the time in which a head must have come is kept for the first head of a connection only.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::exchange::Exchange;
use super::unread_requests::{Replacing, headers_too_large};

/// Longest name of a header field, in bytes: as long as its value may be.
const MAX_NAME: usize = 16 * 1024;

/// A connection that ends when its client sends what no parser should see, or takes too long to send a head.
pub struct Guarded<T> {
    io: T,
    exchange: Rc<Exchange>,
    line: Line,
    /// How long a head may take.
    patience: Duration,
    /// Since bytes of a head have come: how many requests had begun by then, and when it is too late.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// What is still to be said before the connection ends, if it does.
    last_words: Option<Vec<u8>>,
    replacing: Replacing,
}

impl<T> Guarded<T> {
    /// Guards a connection. A head that is not the first must come within `patience`.
    pub fn new(io: T, exchange: Rc<Exchange>, patience: Duration) -> Self {
        Self {
            io,
            exchange,
            line: Line::default(),
            patience,
            head: None,
            last_words: None,
            replacing: Replacing::default(),
        }
    }

    /// The connection as its requests find it.
    pub const fn exchange(&self) -> &Rc<Exchange> {
        &self.exchange
    }

    /// Bytes have come: of a head, if no request is under way.
    fn came(&mut self) {
        let is_first = self.exchange.begun() == 0;
        if self.head.is_none() && !self.exchange.is_busy() && !is_first {
            self.head = Some((self.exchange.begun(), Box::pin(sleep(self.patience))));
        }
    }

    /// Whether a head has not come to its end in time.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((begun, deadline)) = &mut self.head else { return false };
        if *begun != self.exchange.begun() {
            self.head = None;
            return false;
        }
        deadline.as_mut().poll(cx).is_ready()
    }
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// How far the line has come that is being read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    /// Whether it has anything but its end.
    is_begun: bool,
    /// How many bytes of a header field's name it has, if it can be nothing but that. The line after an empty one begins a
    /// body or a request.
    name: Option<usize>,
}

impl Line {
    /// Reads on. Whether a name has become too long.
    fn read(&mut self, bytes: &[u8]) -> bool {
        // What is not that long ends no name that is: then only its last line matters.
        if bytes.len() <= MAX_NAME
            && let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n')
        {
            let (ended, rest) = bytes.split_at(end);
            let is_too_long = match ended.iter().rposition(|byte| *byte == b'\n') {
                Some(before) => {
                    let first = ended.iter().position(|byte| *byte == b'\n').unwrap_or(before);
                    let is_too_long = self.go_on(ended.get(..first).unwrap_or_default());
                    *self = Self { is_begun: false, name: None };
                    self.go_on(ended.get(before + 1..).unwrap_or_default());
                    is_too_long
                }
                None => self.go_on(ended),
            };
            self.end();
            return is_too_long | self.go_on(rest.get(1..).unwrap_or_default());
        }
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let mut is_too_long = self.go_on(lines.next().unwrap_or_default());
        for line in lines {
            self.end();
            is_too_long |= self.go_on(line);
        }
        is_too_long
    }

    fn end(&mut self) {
        *self = Self { is_begun: false, name: self.is_begun.then_some(0) };
    }

    fn go_on(&mut self, bytes: &[u8]) -> bool {
        self.is_begun |= bytes.iter().any(|byte| *byte != b'\r');
        let Some(before) = self.name else { return false };
        let more = bytes.iter().take_while(|byte| is_of_token(**byte)).count();
        let name = before.saturating_add(more);
        self.name = (more == bytes.len()).then_some(name);
        name > MAX_NAME
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Guarded<T> {
    /// Says the last words as far as they can be said at once, and gives the end of the connection.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(words) = self.last_words.as_mut().map(std::mem::take).filter(|words| !words.is_empty()) {
            let _ = Pin::new(&mut self.io).poll_write(cx, &words);
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.last_words.is_some() {
            return this.end(cx);
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let new = buf.filled().get(before..).unwrap_or_default();
                if new.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                if this.line.read(new) {
                    buf.set_filled(before);
                    this.last_words =
                        Some(if this.exchange.is_busy() { Vec::new() } else { headers_too_large() });
                    return this.end(cx);
                }
                this.came();
                Poll::Ready(Ok(()))
            }
            Poll::Pending if this.is_overdue(cx) => {
                this.last_words = Some(Vec::new());
                this.end(cx)
            }
            other => other,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.replacing.poll_write(&mut this.io, cx, buf)
    }

    // The HTTP library writes from one buffer. Without a vectored form nothing gets past the replacing.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The longest name of a header field in these bytes, by looking at each line.
    fn longest_name(bytes: &[u8]) -> usize {
        let (mut longest, mut after_empty) = (0, true);
        for line in bytes.split(|byte| *byte == b'\n') {
            if !after_empty {
                longest = longest.max(line.iter().take_while(|byte| is_of_token(**byte)).count());
            }
            after_empty = line.iter().all(|byte| *byte == b'\r');
        }
        longest
    }

    #[test]
    fn a_target_and_a_body_are_no_names() {
        let long = "a".repeat(3 * MAX_NAME);
        for (head, is_too_long) in [
            (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), false),
            (format!("POST / HTTP/1.1\r\nHost: x\r\n\r\n{long}"), false),
            (format!("GET / HTTP/1.1\r\nHost: {long}\r\n\r\n"), false),
            (format!("GET / HTTP/1.1\r\nHost: x\r\n{long}: b\r\n\r\n"), true),
            (format!("GET / HTTP/1.1\n{long}"), true),
        ] {
            assert_eq!(
                Line::default().read(head.as_bytes()),
                is_too_long,
                "{}",
                head.escape_default().take(60).collect::<String>()
            );
        }
    }

    proptest! {
        /// However the bytes come in pieces, a name is too long if it is.
        #[test]
        fn pieces_make_no_difference(
            parts in prop::collection::vec((0_usize..20_000, prop::sample::select(vec!["", ":", "\n", "\r\n", "\r\n\r\n", "\r", " "])), 1..8),
            cuts in prop::collection::vec(1_usize..30_000, 1..20),
        ) {
            let mut bytes = Vec::new();
            for (length, end) in parts {
                bytes.extend(std::iter::repeat_n(b'a', length));
                bytes.extend(end.bytes());
            }
            let mut line = Line::default();
            let (mut rest, mut cuts, mut found) = (&bytes[..], cuts.iter().cycle(), false);
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                found |= line.read(piece);
                rest = later;
            }
            prop_assert_eq!(found, longest_name(&bytes) > MAX_NAME);
        }
    }
}
