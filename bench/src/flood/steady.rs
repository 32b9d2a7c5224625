//! Requests at a steady rate, however long the answers take (an open loop).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::Error;
use crate::beat::Beat;
use crate::load::connection::Connection;
use crate::load::session::{Session, summary};

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Connections that ask whether the server lives, together a quarter as often as all devices refresh.
const PROBES: u32 = 4;

/// A signed-in device.
#[derive(Debug)]
pub struct Device {
    /// Its connection.
    pub connection: Connection,
    /// Its pair of tokens.
    pub session: Session,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How long each refresh took, in microseconds.
    pub refreshes: Vec<u32>,
    /// How long each `GET /health/live` took, in microseconds.
    pub lives: Vec<u32>,
    time: Duration,
}

impl Seen {
    /// Refreshes per second.
    #[expect(clippy::cast_precision_loss, reason = "far fewer refreshes than 2^52")]
    pub fn per_second(&self) -> f64 {
        self.refreshes.len() as f64 / self.time.as_secs_f64()
    }
}

/// Refreshes every device in turn, `rate` times a second in all or as often as can be, and asks meanwhile whether the
/// server lives.
///
/// # Errors
/// If a refresh gives no pair, or anything goes without an answer.
pub async fn refresh(
    address: SocketAddr,
    devices: Vec<Device>,
    rate: Option<f64>,
    time: Duration,
) -> Result<(Vec<Device>, Seen), Error> {
    let (begun, until) = (Instant::now(), Instant::now() + time);
    let beat = |number, of, rate| Beat::of(number, of, rate, begun, until);
    let (mut refreshing, mut probing) = (JoinSet::new(), JoinSet::new());
    let count = u32::try_from(devices.len())?;
    for (number, device) in (0..).zip(devices) {
        refreshing.spawn(refresh_one(address, device, beat(number, count, rate)?));
    }
    // Without a rate there is nothing to keep a share of.
    for number in 0..rate.map_or(0, |_| PROBES) {
        probing.spawn(probe(address, beat(number, PROBES, rate.map(|rate| rate / 4.0))?));
    }
    let mut seen = Seen { time, ..Seen::default() };
    let mut devices = Vec::new();
    let end = until + PATIENCE;
    let late = |_| "the server leaves requests unanswered";
    while let Some(one) = timeout_at(end, refreshing.join_next()).await.map_err(late)? {
        let (device, times) = one??;
        devices.push(device);
        seen.refreshes.extend(times);
    }
    while let Some(one) = timeout_at(end, probing.join_next()).await.map_err(late)? {
        seen.lives.extend(one??);
    }
    Ok((devices, seen))
}

async fn refresh_one(
    address: SocketAddr,
    mut device: Device,
    beat: Beat,
) -> Result<(Device, Vec<u32>), Error> {
    let mut times = Vec::new();
    for number in 0.. {
        let Some(from) = beat.turn(number).await? else { break };
        let request = device.session.refresh_request(address, None);
        let response = device.connection.exchange(request.as_bytes()).await?;
        if !device.session.take(&response) {
            return Err(format!("a refresh was refused: {}", summary(&response)).into());
        }
        times.push(micros(from.elapsed()));
    }
    Ok((device, times))
}

async fn probe(address: SocketAddr, beat: Beat) -> Result<Vec<u32>, Error> {
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut connection = Connection::to(address);
    let mut times = Vec::new();
    for number in 0.. {
        let Some(from) = beat.turn(number).await? else { break };
        let response = connection.exchange(request.as_bytes()).await?;
        if response.status != 200 {
            return Err(format!("the server does not live: {}", summary(&response)).into());
        }
        times.push(micros(from.elapsed()));
    }
    Ok(times)
}

/// A time as it is counted here.
pub fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
