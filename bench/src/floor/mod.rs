//! The floor: the least that a refresh can cost with the same framework, the same cryptography and the same Redis.
//!
//! One refresh checks the access token's signature and the refresh token's MAC, runs one script that compares and
//! sets 64 bytes, and mints a pair. What a server needs besides, the floor leaves out: claims are not read, so the
//! pair is not checked; there are no users, guards, verdicts, limits, logs or metrics. It is for measuring only.

pub mod access_token;
mod routes;
pub mod sessions;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::web::Data;
use actix_web::{App, HttpServer};
use relatch_domain::mac::{MacKey, MacRing};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::{MacKeyId, UnixMillis};

use crate::Error;
use access_token::{AccessTokens, Algorithm};
use routes::Shared;
use sessions::Sessions;

/// What the `floor` command is told.
#[derive(Debug, clap::Parser)]
#[command(name = "floor", about = "The least that a refresh can cost, as a server. For measuring only.")]
pub struct Options {
    /// Address to listen on; port 0 picks one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// File that gets the address, on a line, once the server answers.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
    /// Address of Redis.
    #[arg(long)]
    pub redis: String,
    /// How access tokens are signed.
    #[arg(long, default_value = "EdDSA")]
    pub algorithm: Algorithm,
    /// Worker threads; as many as there are cores if not given.
    #[arg(long)]
    pub workers: Option<usize>,
}

/// Serves until told to stop by a signal.
///
/// # Errors
/// If the address is taken, Redis does not answer, or there is no randomness.
pub fn run(options: Options) -> Result<(), Error> {
    actix_web::rt::System::new().block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Error> {
    // A worker that cannot connect would only say so in a log that nobody reads.
    Sessions::connect(&options.redis).await?;
    let shared = Data::new(Shared {
        access_tokens: AccessTokens::generate(options.algorithm)?,
        macs: MacRing::new(MacKey::new(MacKeyId(1), &random()?), Vec::new())?,
        policy: RotationPolicy::default(),
    });
    let redis = options.redis;
    let server = HttpServer::new(move || {
        let redis = redis.clone();
        App::new()
            .app_data(shared.clone())
            .data_factory(move || {
                let redis = redis.clone();
                async move { Sessions::connect(&redis).await }
            })
            .service(routes::login)
            .service(routes::refresh)
    })
    .workers(options.workers.map_or_else(|| available_parallelism().map(usize::from), Ok)?)
    .shutdown_timeout(1)
    .bind(options.listen)?;
    let addresses = server.addrs();
    let running = server.run();
    if let Some(file) = &options.ready_file {
        announce(file, &addresses)?;
    }
    Ok(running.await?)
}

/// Appears with its content complete, so that whoever waits for the file never reads half of it.
fn announce(file: &Path, addresses: &[SocketAddr]) -> Result<(), Error> {
    let mut lines = String::new();
    for address in addresses {
        writeln!(lines, "{address}")?;
    }
    let unfinished = file.with_extension("unfinished");
    std::fs::write(&unfinished, lines)?;
    Ok(std::fs::rename(unfinished, file)?)
}

/// `N` random bytes.
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "the floor is no part of the server and has no `ambient`")]
fn now() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
