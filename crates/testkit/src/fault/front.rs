//! What stands before a server: clients connect here and come to it, even when it was started again elsewhere. If it is armed,
//! now and then a connection to the server is reset in the middle of a request. For the server that is a client that resets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use relatch::ambient::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request in so many is reset.
const ONE_IN: u8 = 8;
/// Of those, one in so many is reset when half of it was sent.
const HALF_ONE_IN: u8 = 4;

/// A forwarder. It runs until the runtime ends.
#[derive(Debug)]
pub(super) struct Front {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    resetting: Resetting,
}

#[derive(Debug, Clone, Default)]
struct Resetting {
    armed: Arc<AtomicBool>,
    resets: Arc<AtomicU64>,
}

/// When a connection is reset.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Half of the request has been sent.
    Half,
    /// This long after the request, or when its answer comes. Nobody reads that.
    After(Duration),
}

impl Front {
    /// Stands before the server at `target`.
    pub(super) async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let front = Self { address, target: watch::Sender::new(target), resetting: Resetting::default() };
        let (target, resetting) = (front.target.subscribe(), front.resetting.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (to, resetting) = (*target.borrow(), resetting.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    resetting.carry(client, server).await;
                });
            }
        });
        front
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server is there now.
    pub(super) fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Resets from now on, or no more.
    pub(super) fn arm(&self, armed: bool) {
        self.resetting.armed.store(armed, Ordering::Relaxed);
    }

    /// How many connections were reset.
    pub(super) fn resets(&self) -> u64 {
        self.resetting.resets.load(Ordering::Relaxed)
    }
}

impl Resetting {
    /// Carries bytes both ways until either side ends or the connection to the server is reset.
    async fn carry(self, mut client: TcpStream, mut server: TcpStream) {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut request, mut answer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        loop {
            tokio::select! {
                read = client.read(&mut request) => {
                    let Ok(length @ 1..) = read else { return };
                    let bytes = &request[..length];
                    if let Some(moment) = self.moment() {
                        reset(server, bytes, moment).await;
                        self.resets.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    if server.write_all(bytes).await.is_err() {
                        return;
                    }
                }
                read = server.read(&mut answer) => {
                    let Ok(length @ 1..) = read else { return };
                    if client.write_all(&answer[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// When this request is reset, if it is.
    fn moment(&self) -> Option<Moment> {
        let [lot, half, after] = Random.bytes::<3>().expect("randomness");
        if !self.armed.load(Ordering::Relaxed) || !lot.is_multiple_of(ONE_IN) {
            return None;
        }
        Some(if half.is_multiple_of(HALF_ONE_IN) {
            Moment::Half
        } else {
            // Up to some 30 ms, about as long as a sign-out takes on a busy machine.
            Moment::After(Duration::from_micros(u64::from(after) * 125))
        })
    }
}

/// Sends a request, or half of it, and resets the connection.
async fn reset(mut server: TcpStream, request: &[u8], moment: Moment) {
    let (sent, after) = match moment {
        Moment::Half => (&request[..request.len() / 2], Duration::ZERO),
        Moment::After(after) => (request, after),
    };
    if server.write_all(sent).await.is_ok() {
        let _ = tokio::time::timeout(after, server.readable()).await;
    }
    server.set_zero_linger().expect("a socket can be told not to linger");
}
