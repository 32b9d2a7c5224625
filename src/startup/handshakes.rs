//! TLS handshakes: as many at once as the server has room for, and none for long.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::arrivals::Arrivals;

/// How long a client may take to agree upon how to encrypt.
const LONGEST: Duration = Duration::from_secs(5);
/// How many handshakes may be under way.
const MOST: usize = 2048;

/// The handshakes that are under way. Clones are one.
#[derive(Clone)]
pub(super) struct Handshakes(Arrivals);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Arrivals::of_at_most(MOST))
    }
}

impl Handshakes {
    /// Shakes hands with a client. Nothing if it does not, takes too long, or too many others have come since.
    pub(super) async fn shake<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        acceptor: &TlsAcceptor,
        stream: T,
    ) -> Option<TlsStream<T>> {
        let (_arrival, is_over) = self.0.arrive();
        tokio::select! {
            shaken = timeout(LONGEST, acceptor.accept(stream)) => shaken.ok()?.ok(),
            _ = is_over => None,
        }
    }
}
