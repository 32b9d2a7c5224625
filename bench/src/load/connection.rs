//! One keep-alive connection, one request at a time.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::response::{self, BadResponse, Response};

/// A connection to the server: made with the first request, and anew after one that failed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

/// A request that got no whole answer. The server may have carried it out all the same.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before it had answered.
    #[error("connection closed before the answer was complete")]
    Closed,
    /// The answer makes no sense.
    #[error(transparent)]
    Response(#[from] BadResponse),
}

impl Connection {
    /// A connection to `address`, not made yet.
    pub fn to(address: SocketAddr) -> Self {
        Self { address, stream: None, received: Vec::with_capacity(8 * 1024) }
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response, Broken> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(request).await?;
        loop {
            self.received.reserve(4 * 1024);
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(Broken::Closed);
            }
            if let Some((response, length)) = response::parse(&self.received)? {
                self.received.drain(..length);
                // A stream that is not put back is closed, as one that failed must be.
                self.stream = (!response.last).then_some(stream);
                return Ok(response);
            }
        }
    }

    async fn connect(&mut self) -> io::Result<TcpStream> {
        self.received.clear();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
