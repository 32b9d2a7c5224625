//! Many who sign in at once, and come again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Options;
use super::steady::micros;
use crate::Error;
use crate::load::connection::Connection;
use crate::load::report::Latency;
use crate::load::session::{Session, summary};

/// What the crowd saw.
#[derive(Debug, Serialize)]
pub struct SignIns {
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, u64>,
    /// How long sign-ins took that succeeded.
    pub succeeded_us: Latency,
    /// How long they took to be refused.
    pub refused_us: Latency,
}

#[derive(Debug, Default)]
struct Seen {
    statuses: BTreeMap<u16, u64>,
    succeeded: Vec<u32>,
    refused: Vec<u32>,
}

/// A crowd that is there.
#[derive(Debug)]
pub struct Crowd(JoinSet<Result<Seen, Error>>);

impl Crowd {
    /// Everybody signs in at once, and again when they have been answered, until time is up.
    pub fn come(options: &Options, until: Instant) -> Self {
        let mut crowd = JoinSet::new();
        for number in 0..options.crowd {
            crowd.spawn(sign_in_again_and_again(options.clone(), number, until));
        }
        Self(crowd)
    }

    /// Waits for the last answer.
    ///
    /// # Errors
    /// If anything was answered but a pair or that there is too much to do.
    pub async fn gone(mut self) -> Result<SignIns, Error> {
        let mut all = Seen::default();
        while let Some(one) = self.0.join_next().await {
            let one = one??;
            for (status, count) in one.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
            all.succeeded.extend(one.succeeded);
            all.refused.extend(one.refused);
        }
        Ok(SignIns {
            statuses: all.statuses,
            succeeded_us: Latency::of(&mut all.succeeded),
            refused_us: Latency::of(&mut all.refused),
        })
    }
}

async fn sign_in_again_and_again(options: Options, number: usize, until: Instant) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    let mut connection = Connection::to(options.url);
    let username = format!("{}{}", options.username_prefix, number % options.users);
    let request = Session::sign_in_request(options.url, &username, &options.password);
    while Instant::now() < until {
        let sent = Instant::now();
        let response = connection.exchange(request.as_bytes()).await?;
        *seen.statuses.entry(response.status).or_default() += 1;
        match response.status {
            200 => seen.succeeded.push(micros(sent.elapsed())),
            429 | 503 => {
                seen.refused.push(micros(sent.elapsed()));
                let seconds = response.retry_after.ok_or("a refusal does not say when to come again")?;
                if !options.impatient {
                    sleep_until((Instant::now() + Duration::from_secs(seconds)).min(until)).await;
                }
            }
            _ => return Err(format!("a sign-in has an answer of its own: {}", summary(&response)).into()),
        }
    }
    Ok(seen)
}
