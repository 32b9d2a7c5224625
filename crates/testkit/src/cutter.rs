//! Cuts the connections of a server under test at a chosen script that writes: before the store has it, or after the
//! store has carried it out and before it is answered.
//!
//! What a node does by itself is left alone: connections that were used while nobody asked anything of it
//! ([`Cutter::learn_background`]) are not counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::Commands;

/// Longer than a node rests between two looks at its store.
const A_LOOK: Duration = Duration::from_millis(900);
/// How long a test waits for a script that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of the chosen script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Before,
    /// It is carried out and not answered.
    After,
    /// It never arrives, and the connection stays open.
    Held,
}

/// Which scripts meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// The chosen one.
    Once,
    /// It and all that come later.
    Onwards,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    nth: usize,
    fate: Fate,
    lasts: Lasts,
}

#[derive(Debug, Default)]
struct State {
    order: Option<Order>,
    /// How many scripts have come since the order.
    count: usize,
    /// Whether one of them met its fate.
    met: bool,
    learns: bool,
}

/// Decides which connections are cut. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cutter(Arc<Mutex<State>>);

/// One connection as the cutter knows it.
#[derive(Debug, Default)]
pub(crate) struct Cuttable {
    commands: Mutex<Commands>,
    is_background: AtomicBool,
    is_doomed: AtomicBool,
}

/// What to do with bytes that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Free,
    Swallowed,
    Cut,
}

impl Cuttable {
    /// Whether what the store answers may go to the client.
    pub(crate) fn may_be_answered(&self) -> bool {
        !self.is_doomed.load(Ordering::Relaxed)
    }
}

impl Cutter {
    /// Has the n-th script from now on, from 1, meet its fate.
    pub fn arm(&self, nth: usize, fate: Fate, lasts: Lasts) {
        let mut state = self.state();
        *state = State { order: Some(Order { nth, fate, lasts }), learns: state.learns, ..State::default() };
    }

    /// Cuts nothing any more. Whether a script has met its fate.
    pub fn disarm(&self) -> bool {
        let mut state = self.state();
        state.order = None;
        state.met
    }

    /// Waits until a script has met its fate.
    pub async fn until_met(&self) {
        let begun = Instant::now();
        while !self.state().met {
            assert!(begun.elapsed() < PATIENCE, "no script has come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Learns which connections are used while nobody asks anything of the node.
    pub async fn learn_background(&self) {
        self.state().learns = true;
        // There is nothing to wait for: it is what comes meanwhile.
        tokio::time::sleep(A_LOOK).await;
        self.state().learns = false;
    }

    /// Bytes of a client.
    pub(crate) fn asks(&self, connection: &Cuttable, bytes: &[u8]) -> Passage {
        let names = connection.commands.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        let mut state = self.state();
        if state.learns && !names.is_empty() {
            connection.is_background.store(true, Ordering::Relaxed);
        }
        if connection.is_background.load(Ordering::Relaxed) {
            return Passage::Free;
        }
        let mut passage = Passage::Free;
        for _ in names.iter().filter(|name| matches!(name.as_str(), "EVALSHA" | "EVAL")) {
            let Some(order) = state.order else { continue };
            state.count += 1;
            let is_hit = match order.lasts {
                Lasts::Once => state.count == order.nth,
                Lasts::Onwards => state.count >= order.nth,
            };
            if is_hit {
                state.met = true;
                passage = match order.fate {
                    Fate::Before => Passage::Cut,
                    Fate::Held => Passage::Swallowed,
                    Fate::After => {
                        connection.is_doomed.store(true, Ordering::Relaxed);
                        Passage::Free
                    }
                };
            }
        }
        passage
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A proxy before a Redis that cuts as its cutter says. It runs until the runtime ends.
#[derive(Debug)]
pub struct CutterProxy {
    /// Decides.
    pub cutter: Cutter,
    address: SocketAddr,
}

impl CutterProxy {
    /// Starts a proxy that lets everything pass at first.
    pub async fn to(redis: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let cutter = Cutter::default();
        let cuts = cutter.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, redis, cuts.clone()));
            }
        });
        Self { cutter, address }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

async fn relay(mut client: TcpStream, redis: SocketAddr, cutter: Cutter) {
    let Ok(mut server) = TcpStream::connect(redis).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut question, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let connection = Cuttable::default();
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &question[..length];
                match cutter.asks(&connection, bytes) {
                    Passage::Cut => return,
                    Passage::Swallowed => {}
                    Passage::Free => if server.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if !connection.may_be_answered() || client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
