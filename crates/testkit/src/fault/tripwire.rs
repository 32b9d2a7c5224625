//! A TCP proxy between a server and Redis that stops everything at a chosen script, so that the server can be killed there:
//! before the script has arrived, or when it was carried out and the server has not heard of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// At which script a server dies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trip {
    /// At this one from now on, counted from 1.
    pub(super) nth: u8,
    /// Only those that concern the journal count: the server dies while an end of sessions is under way.
    pub(super) of_the_journal: bool,
    /// Redis carries the script out.
    pub(super) carried_out: bool,
}

/// The proxy. It runs until the runtime ends.
#[derive(Debug)]
pub(super) struct Tripwire {
    address: SocketAddr,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    trip: Mutex<Option<Trip>>,
    /// Whether nothing passes any more.
    down: watch::Sender<bool>,
}

impl Tripwire {
    /// Stands before `redis`, and lets everything pass.
    pub(super) async fn before(redis: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let wire = Arc::new(Wire { trip: Mutex::default(), down: watch::Sender::new(false) });
        let relayed = wire.clone();
        tokio::spawn(async move {
            while let Ok((server, _)) = listener.accept().await {
                let wire = relayed.clone();
                tokio::spawn(async move { wire.relay(server, redis).await });
            }
        });
        Self { address, wire }
    }

    /// Where the server connects.
    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Stops everything at a script, and waits until it has come to that.
    pub(super) async fn trip(&self, trip: Trip) {
        *self.wire.trip.lock().expect("no panic") = Some(trip);
        self.wire.down.subscribe().wait_for(|down| *down).await.expect("the wire is there");
    }

    /// Lets everything pass again.
    pub(super) fn mend(&self) {
        self.wire.down.send_replace(false);
    }
}

impl Wire {
    async fn relay(&self, mut server: TcpStream, redis: SocketAddr) {
        let mut down = self.down.subscribe();
        let Ok(mut store) = TcpStream::connect(redis).await else { return };
        let _ = (server.set_nodelay(true), store.set_nodelay(true));
        let (mut question, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        let mut is_last = false;
        loop {
            tokio::select! {
                biased;
                () = async { let _ = down.wait_for(|down| *down).await; } => return,
                read = server.read(&mut question) => {
                    let Ok(length @ 1..) = read else { return };
                    let bytes = &question[..length];
                    match self.struck_by(bytes) {
                        Some(Trip { carried_out: false, .. }) => {
                            self.down.send_replace(true);
                            return;
                        }
                        Some(_) => is_last = true,
                        None => {}
                    }
                    if store.write_all(bytes).await.is_err() {
                        return;
                    }
                }
                read = store.read(&mut answer) => {
                    let Ok(length @ 1..) = read else { return };
                    if is_last {
                        self.down.send_replace(true);
                        return;
                    }
                    if server.write_all(&answer[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The trip, if this is its script.
    fn struck_by(&self, bytes: &[u8]) -> Option<Trip> {
        let has = |word: &[u8]| bytes.windows(word.len()).any(|there| there == word);
        let mut waiting = self.trip.lock().expect("no panic");
        let trip = waiting.as_mut()?;
        if !has(b"EVALSHA") || (trip.of_the_journal && !has(b"{journal}")) {
            return None;
        }
        trip.nth -= 1;
        if trip.nth > 0 { None } else { waiting.take() }
    }
}
