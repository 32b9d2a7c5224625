//! A TCP proxy that cuts connections at chosen moments: before a request has arrived, after it was carried out and before it
//! is answered, and in the middle of the answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The request never arrives.
    Before,
    /// The request is carried out, its answer never comes.
    After,
    /// Half of the answer comes.
    Within,
}

/// A proxy in front of a Redis. It runs until the runtime ends.
#[derive(Debug)]
pub struct CuttingProxy {
    address: SocketAddr,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicU64>,
}

/// One request in so many meets its fate.
const ONE_IN: u64 = 20;

impl CuttingProxy {
    /// Starts a proxy that cuts like this, now and then, once it is armed.
    pub async fn start(redis: SocketAddr, cut: Cut) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (requests, cuts) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let armed = Arc::new(AtomicBool::new(false));
        let (counted, arms) = (cuts.clone(), armed.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (requests, counted, armed) = (requests.clone(), counted.clone(), arms.clone());
                tokio::spawn(async move {
                    if relay(client, redis, cut, &armed, &requests).await {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, armed, cuts }
    }

    /// Cuts from now on.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Relays until either side ends or the connection is cut. Whether it was cut.
async fn relay(
    mut client: TcpStream,
    redis: SocketAddr,
    cut: Cut,
    armed: &AtomicBool,
    requests: &AtomicU64,
) -> bool {
    let Ok(mut server) = TcpStream::connect(redis).await else { return false };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut question, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut doomed = false;
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(length @ 1..) = read else { return false };
                let bytes = &question[..length];
                // Connections may be made in peace: it is refreshes that are to suffer.
                let is_step = armed.load(Ordering::Relaxed) && bytes.windows(7).any(|word| word == b"EVALSHA");
                let hit = is_step && requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN);
                if hit && cut == Cut::Before {
                    return true;
                }
                doomed |= hit;
                if server.write_all(bytes).await.is_err() {
                    return false;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return false };
                let told = match (doomed, cut) {
                    (true, Cut::Within) => length / 2,
                    (true, _) => 0,
                    (false, _) => length,
                };
                if client.write_all(&answer[..told]).await.is_err() {
                    return false;
                }
                if doomed {
                    return true;
                }
            }
        }
    }
}
