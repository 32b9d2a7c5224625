//! The network between the processes of a group: a door before each of them, through which everybody comes.
//!
//! A door knows who comes in: a Redis process by its source address (`bind-source-addr`), a server under test by the name that
//! it gives its connections. So a link can be slow, and a process can be cut off from the others and keep some clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::cutter::{Cuttable, Cutter, Passage};

/// What is wrong with the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Weather {
    /// The process that is cut off from all others, and the name of the only client on its side.
    isolated: Option<(usize, String)>,
    /// How long what goes from a primary to these processes takes.
    delays: Vec<(usize, Duration)>,
}

/// The network of one group.
#[derive(Debug, Clone)]
pub(super) struct Network {
    weather: watch::Sender<Weather>,
    /// Cuts connections of clients.
    pub(super) cutter: Cutter,
}

/// Who comes to a door.
#[derive(Debug, Clone)]
enum Visitor {
    /// A process of the group that holds data.
    Process(usize),
    /// A Sentinel.
    Sentinel,
    /// A client, and its name once it has told it.
    Client(Arc<Mutex<Option<String>>>),
}

/// The source address of a process that holds data.
pub(super) fn source_of(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 11 + u8::try_from(number).expect("a small group"))
}

/// The source address of a Sentinel.
pub(super) fn source_of_sentinel(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 111 + u8::try_from(number).expect("a small group"))
}

impl Network {
    pub(super) fn calm() -> Self {
        Self { weather: watch::Sender::new(Weather::default()), cutter: Cutter::default() }
    }

    /// Cuts a process off from all others. Only the client whose connections have this name is on its side, and reaches nobody
    /// else. Nothing is closed: bytes stop.
    pub(super) fn isolate(&self, process: usize, client: &str) {
        self.weather.send_modify(|weather| weather.isolated = Some((process, client.to_owned())));
    }

    /// Makes what goes from a primary to this process late.
    pub(super) fn delay(&self, process: usize, by: Duration) {
        self.weather.send_modify(|weather| {
            weather.delays.retain(|(other, _)| *other != process);
            weather.delays.push((process, by));
        });
    }

    /// All is well again. What was stopped goes on.
    pub(super) fn heal(&self) {
        self.weather.send_replace(Weather::default());
    }

    /// Opens a door before what listens at `target`; `number` is the process behind it, none for a Sentinel. It stays open
    /// until the runtime ends.
    pub(super) async fn door(&self, port: u16, target: SocketAddr, number: Option<usize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the door's port is free");
        let (weather, cutter) = (self.weather.subscribe(), self.cutter.clone());
        tokio::spawn(async move {
            while let Ok((client, from)) = listener.accept().await {
                let visitor = visitor(from.ip());
                let link = Link {
                    door: number,
                    visitor,
                    weather: weather.clone(),
                    cutter: cutter.clone(),
                    cuttable: Cuttable::default(),
                };
                tokio::spawn(let_in(client, target, link));
            }
        });
    }
}

fn visitor(from: IpAddr) -> Visitor {
    match from {
        IpAddr::V4(from) => match from.octets() {
            [127, 0, 0, last @ 11..=110] => Visitor::Process(usize::from(last) - 11),
            [127, 0, 0, 111..=254] => Visitor::Sentinel,
            _ => Visitor::Client(Arc::default()),
        },
        IpAddr::V6(_) => Visitor::Client(Arc::default()),
    }
}

impl Visitor {
    /// Whether bytes pass between the visitor and the process behind the door.
    fn passes(&self, door: Option<usize>, weather: &Weather) -> bool {
        let Some((isolated, its_client)) = &weather.isolated else { return true };
        let is_its_door = door == Some(*isolated);
        match self {
            Self::Process(number) => !is_its_door && number != isolated,
            Self::Sentinel => !is_its_door,
            // Who has not said a name yet may say it.
            Self::Client(name) => match name.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
                Some(name) => (name == its_client) == is_its_door,
                None => true,
            },
        }
    }

    fn delay(&self, weather: &Weather) -> Duration {
        match self {
            Self::Process(number) => {
                let delay = weather.delays.iter().find(|(process, _)| process == number);
                delay.map_or(Duration::ZERO, |(_, delay)| *delay)
            }
            Self::Sentinel | Self::Client(_) => Duration::ZERO,
        }
    }

    fn hear(&self, bytes: &[u8]) {
        let Self::Client(name) = self else { return };
        let mut name = name.lock().unwrap_or_else(PoisonError::into_inner);
        if name.is_none()
            && let Some(at) = bytes.windows(8).position(|word| word == b"relatch-")
        {
            let digits = bytes[at + 8..].iter().take_while(|byte| byte.is_ascii_digit());
            *name =
                Some(format!("relatch-{}", String::from_utf8_lossy(&digits.copied().collect::<Vec<_>>())));
        }
    }
}

async fn let_in(client: TcpStream, target: SocketAddr, link: Link) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // When either way ends, both do: the halves are dropped.
    tokio::select! {
        () = link.carry(from_client, to_server, true) => {}
        () = link.carry(from_server, to_client, false) => {}
    }
}

struct Link {
    door: Option<usize>,
    visitor: Visitor,
    weather: watch::Receiver<Weather>,
    cutter: Cutter,
    cuttable: Cuttable,
}

impl Link {
    /// Whether the link is cut at these bytes.
    fn fate(&self, bytes: &[u8], is_inward: bool) -> Passage {
        match self.visitor {
            Visitor::Client(_) if is_inward => self.cutter.asks(&self.cuttable, bytes),
            Visitor::Client(_) if !self.cuttable.may_be_answered() => Passage::Cut,
            _ => Passage::Free,
        }
    }

    /// Carries bytes one way, late or not at all as the weather is.
    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_inward: bool) {
        let (queue, mut arrivals) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
        let reading = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                let bytes = &buffer[..length];
                if is_inward {
                    self.visitor.hear(bytes);
                }
                match self.fate(bytes, is_inward) {
                    Passage::Cut => return,
                    Passage::Swallowed => continue,
                    Passage::Free => {}
                }
                if queue.send((Instant::now(), bytes.to_vec())).is_err() {
                    return;
                }
            }
            drop(queue);
        };
        let writing = async {
            let mut weather = self.weather.clone();
            while let Some((read_at, bytes)) = arrivals.recv().await {
                let delay = if is_inward { Duration::ZERO } else { self.visitor.delay(&weather.borrow()) };
                tokio::time::sleep_until(read_at + delay).await;
                let open = |weather: &Weather| self.visitor.passes(self.door, weather);
                if weather.wait_for(open).await.is_err() || to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::pin!(writing);
        tokio::select! {
            () = reading => {
                // Of what is late nothing arrives any more once its sender is dead.
                if is_inward || self.visitor.delay(&self.weather.borrow()) == Duration::ZERO {
                    writing.await;
                }
            }
            () = &mut writing => {}
        }
    }
}
