//! The load generator: a closed loop of honest clients, or an open one at a steady rate.
//!
//! Every session is signed in first. Then each connection refreshes its share of the sessions in turn (or does what else the
//! [`Scenario`] says), one request at a time, and carries the new pair forward. With a rate it does so when it is due ([`Beat`]). No two connections ever hold the same session, so a server that
//! works answers 200 and nothing else.

pub mod connection;
pub mod cpu;
pub mod report;
pub mod response;
pub mod scenario;
pub mod session;
pub mod tally;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::Error;
use crate::beat::Beat;
use connection::Connection;
use report::{Measured, Report};
use scenario::{Outcome, Scenario};
use session::Session;
use tally::Tally;

/// How long all sign-ins together, and the last answers of a run, may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the `load` command is told.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "load", about = "Keeps a server busy with refreshes and says what they cost.")]
pub struct Options {
    /// The server: `http://` and an address with a port.
    #[arg(long, value_parser = address)]
    pub url: SocketAddr,
    /// How many sessions to sign in and refresh.
    #[arg(long, visible_alias = "users", default_value_t = 1000)]
    pub sessions: usize,
    /// How many of them belong to one user, who must exist: the prefix and a number from 0.
    #[arg(long, default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub sessions_per_user: usize,
    /// How many connections refresh at the same time.
    #[arg(long, default_value_t = 32, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub connections: usize,
    /// How many connections sign in at the same time: passwords are slow on purpose.
    #[arg(long, default_value_t = 4, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub sign_in_connections: usize,
    /// How long to measure.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How long to refresh before that.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub warmup: Duration,
    /// How many refreshes to send each second, all connections together; as many as can be if not given.
    #[arg(long)]
    pub rate: Option<f64>,
    /// What the clients do.
    #[arg(long, value_enum, default_value_t = Scenario::Refresh)]
    pub scenario: Scenario,
    /// Send a fresh attempt key (`Idempotency-Key`) with every refresh.
    #[arg(long)]
    pub attempt_keys: bool,
    /// A process whose processor time is of interest; may be given several times.
    #[arg(long = "pid")]
    pub pids: Vec<u32>,
    /// What user names begin with.
    #[arg(long, default_value = "bench")]
    pub username_prefix: String,
    /// The users' password.
    #[arg(long, env = "RELATCH_BENCH_PASSWORD", default_value = "", hide_env_values = true)]
    pub password: String,
    /// Report as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// The address in such a URL.
pub(crate) fn address(url: &str) -> Result<SocketAddr, String> {
    url.strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .and_then(|rest| rest.replacen("localhost", "127.0.0.1", 1).parse().ok())
        .ok_or_else(|| "expected http://ADDRESS:PORT".to_owned())
}

/// The measured time.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

/// Signs in, refreshes, and reports. One thread: the load generator must not take the server's processors.
///
/// # Errors
/// If the sign-ins fail, the server hangs, or a process to watch is gone. Failed refreshes are in the report.
pub fn run(options: &Options) -> Result<Report, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<Report, Error> {
    if options.sessions < options.connections {
        return Err("every connection needs a session of its own".into());
    }
    let sessions =
        timeout(PATIENCE, sign_in_all(options)).await.map_err(|_| "the sign-ins do not come to an end")??;
    let begun = Instant::now();
    let from = begun + options.warmup;
    let window = Window { from, until: from + options.duration };
    let mut clients = JoinSet::new();
    let connections = u32::try_from(options.connections)?;
    for (number, share) in (0..).zip(deal(sessions, options.connections)) {
        let attempts = options.attempt_keys.then_some(number);
        let beat = Beat::of(number, connections, options.rate, begun, window.until)?;
        clients.spawn(serve_in_turn(options.clone(), share, window, beat, attempts));
    }
    let measured = watch(&options.pids, window).await?;
    let mut tally = Tally::default();
    let end = window.until + PATIENCE;
    while let Some(counted) =
        timeout_at(end, clients.join_next()).await.map_err(|_| "the server leaves requests unanswered")?
    {
        tally.merge(counted?);
    }
    Ok(Report::new(options.connections, options.sessions, tally, &measured))
}

/// Notes the processor times at both ends of the window.
async fn watch(pids: &[u32], window: Window) -> Result<Measured, Error> {
    let mut pids = pids.to_vec();
    pids.push(process::id());
    sleep_until(window.from).await;
    let before = cpu::usage(&pids)?;
    sleep_until(window.until).await;
    let after = cpu::usage(&pids)?;
    Ok(Measured { time: window.until - window.from, before, after })
}

async fn sign_in_all(options: &Options) -> Result<Vec<Session>, Error> {
    let mut helpers = JoinSet::new();
    for first in 0..options.sign_in_connections {
        let options = options.clone();
        helpers.spawn(async move {
            let mut connection = Connection::to(options.url);
            let mut sessions = Vec::new();
            for number in (first..options.sessions).step_by(options.sign_in_connections) {
                let username = format!("{}{}", options.username_prefix, number / options.sessions_per_user);
                let session =
                    Session::sign_in(&mut connection, options.url, &username, &options.password).await?;
                sessions.push(session);
            }
            Ok::<_, Error>(sessions)
        });
    }
    let mut sessions = Vec::with_capacity(options.sessions);
    while let Some(signed_in) = helpers.join_next().await {
        sessions.extend(signed_in??);
    }
    Ok(sessions)
}

/// Deals the sessions out like cards.
fn deal(sessions: Vec<Session>, hands: usize) -> Vec<VecDeque<Session>> {
    let mut dealt: Vec<VecDeque<Session>> = std::iter::repeat_with(VecDeque::new).take(hands).collect();
    for (number, session) in sessions.into_iter().enumerate() {
        if let Some(hand) = dealt.get_mut(number % hands) {
            hand.push_back(session);
        }
    }
    dealt
}

/// One connection's loop. A session that got no good answer is given up; without sessions the loop ends early.
async fn serve_in_turn(
    options: Options,
    mut sessions: VecDeque<Session>,
    window: Window,
    beat: Beat,
    attempts: Option<u32>,
) -> Tally {
    let mut tally = Tally::default();
    let mut connection = Connection::to(options.url);
    for attempt in 0.. {
        let Some(mut session) = sessions.pop_front() else { break };
        // Fresh for each refresh, as the rule demands; unguessable it need not be, since nobody attacks here.
        let key = attempts.map(|connection| format!("bench-{connection:06}-{attempt:016}"));
        let step = options.scenario.step(attempt);
        let request = step.request(&session, options.url, &options.password, key.as_deref());
        let due = match beat.turn(attempt).await {
            Ok(Some(due)) => due,
            Ok(None) => break,
            Err(why) => {
                tally.broken(&why);
                break;
            }
        };
        match connection.exchange(request.as_bytes()).await {
            Ok(response) => {
                let answered = Instant::now();
                tally.answered(&response);
                let outcome = step.outcome(&mut session, &response);
                if outcome == Outcome::Failed {
                    tally.refused(&response);
                } else if (window.from..window.until).contains(&answered) {
                    tally.measured(answered - due);
                }
                if outcome == Outcome::GoesOn {
                    sessions.push_back(session);
                }
            }
            Err(why) => tally.broken(&why),
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_http_url_with_a_port() {
        assert_eq!(address("http://127.0.0.1:80/"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(address("http://localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        for wrong in ["127.0.0.1:80", "https://127.0.0.1:80", "http://127.0.0.1", "http://127.0.0.1:80/x"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
