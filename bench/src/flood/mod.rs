//! A crowd signs in while devices refresh at a steady rate: what the crowd costs the devices, and what it is told itself.
//!
//! First as many refreshes as the server can do are counted, then rounds begin: a calm time of refreshes at a fixed
//! share of that, and the same while a crowd signs in. Beside them `GET /health/live` is asked, which does next to
//! nothing: what it takes longer in the flood is what this generator and the machine take longer.

pub mod crowd;
pub mod memory;
pub mod steady;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::Error;
use crate::load::connection::Connection;
use crate::load::report::Latency;
use crate::load::{address, session::Session};
use crowd::{Crowd, SignIns};
use steady::{Device, Seen};

/// How long the crowd is there before anything is measured.
const LEAD: Duration = Duration::from_secs(1);
/// How long all sign-ins of the devices may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the `flood` command is told.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    name = "flood",
    about = "Refreshes at a steady rate while a crowd signs in, and says what that costs."
)]
pub struct Options {
    /// The server: `http://` and an address with a port.
    #[arg(long, value_parser = address)]
    pub url: SocketAddr,
    /// The server's process, whose memory is of interest.
    #[arg(long)]
    pub pid: u32,
    /// How many users there are: the prefix and a number from 0.
    #[arg(long, default_value_t = 40, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub users: usize,
    /// What user names begin with.
    #[arg(long, default_value = "bench")]
    pub username_prefix: String,
    /// The users' password.
    #[arg(long, env = "RELATCH_BENCH_PASSWORD", default_value = "", hide_env_values = true)]
    pub password: String,
    /// How many devices refresh, each on a connection of its own.
    #[arg(long, default_value_t = 32, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub devices: usize,
    /// How many sign in at once.
    #[arg(long, default_value_t = 200)]
    pub crowd: usize,
    /// Come again at once when refused, and not when told.
    #[arg(long)]
    pub impatient: bool,
    /// The part of what the server can do that is asked of it: one in so many.
    #[arg(long, default_value_t = 4.0)]
    pub share: f64,
    /// Times that calm and flood are measured.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long each is measured.
    #[arg(long, default_value = "8s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Refreshes per second that the server can do.
    pub capacity: f64,
    /// Refreshes per second that were asked of it.
    pub rate: f64,
    /// What was found in each round.
    pub rounds: Vec<Round>,
    /// The server's memory before the first round, in KiB.
    pub memory_before_kib: u64,
    /// The most that it ever had, in KiB.
    pub memory_peak_kib: u64,
}

/// What was found in one round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Without the crowd.
    pub calm: Steady,
    /// With it.
    pub flooded: Steady,
    /// What the crowd saw.
    pub sign_ins: SignIns,
    /// The server's memory after it, in KiB.
    pub memory_kib: u64,
}

/// How long steady requests took.
#[derive(Debug, Serialize)]
pub struct Steady {
    /// Refreshes that were measured.
    pub refreshes: usize,
    /// How long they took.
    pub refresh_us: Latency,
    /// How long `GET /health/live` took meanwhile.
    pub live_us: Latency,
}

impl From<Seen> for Steady {
    fn from(mut seen: Seen) -> Self {
        Self {
            refreshes: seen.refreshes.len(),
            refresh_us: Latency::of(&mut seen.refreshes),
            live_us: Latency::of(&mut seen.lives),
        }
    }
}

/// Measures. One thread: the generator must not take the server's processors.
///
/// # Errors
/// If anything but the crowd is refused anything, or the server hangs or is gone.
pub fn run(options: &Options) -> Result<Report, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<Report, Error> {
    let devices =
        timeout(PATIENCE, sign_in(options)).await.map_err(|_| "the sign-ins do not come to an end")??;
    let (devices, warm) = steady::refresh(options.url, devices, None, LEAD + options.duration / 2).await?;
    let capacity = warm.per_second();
    let rate = capacity / options.share;
    let memory_before_kib = memory::of(options.pid)?.now_kib;
    let mut devices = devices;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let calm;
        (devices, calm) = steady::refresh(options.url, devices, Some(rate), options.duration).await?;
        let until = Instant::now() + LEAD + options.duration;
        let crowd = Crowd::come(options, until);
        tokio::time::sleep(LEAD).await;
        let flooded;
        (devices, flooded) = steady::refresh(options.url, devices, Some(rate), options.duration).await?;
        let sign_ins = crowd.gone().await?;
        let memory_kib = memory::of(options.pid)?.now_kib;
        rounds.push(Round { calm: calm.into(), flooded: flooded.into(), sign_ins, memory_kib });
    }
    let memory_peak_kib = memory::of(options.pid)?.peak_kib;
    Ok(Report { capacity, rate, rounds, memory_before_kib, memory_peak_kib })
}

async fn sign_in(options: &Options) -> Result<Vec<Device>, Error> {
    let mut devices = Vec::with_capacity(options.devices);
    for number in 0..options.devices {
        let mut connection = Connection::to(options.url);
        let username = format!("{}{}", options.username_prefix, number % options.users);
        let session = Session::sign_in(&mut connection, options.url, &username, &options.password).await?;
        devices.push(Device { connection, session });
    }
    Ok(devices)
}
