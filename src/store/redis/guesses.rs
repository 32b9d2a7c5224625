//! The guesses, each guesser a key of its own, which expires.

use std::time::Duration;

use redis::Value;
use relatch_domain::UnixMillis;
use relatch_domain::guesses::{Guesses, Try};

use super::Handle;
use super::failure::Effect;
use super::reply::{self, Row};
use super::request::{Request, Script, script};
use crate::store::{GuessStep, Guesser, StoreError};

static GUESS: Script = script!("guess", Effect::Writes);
static TAKE_BACK: Script = script!("take_back_guess", Effect::Writes);

impl Handle {
    pub(super) async fn count_guess(&self, step: &GuessStep) -> Result<Result<Try, Duration>, StoreError> {
        let limit = &step.limit;
        let request = GUESS
            .on([&self.keyspace.guesses(step.guesser)])
            .arg(millis(limit.forgotten_after))
            .arg(limit.free)
            .arg(millis(limit.first_wait))
            .arg(millis(limit.longest_wait))
            .arg(self.time.argument());
        let mut row = Row::new(self.router.ask(&request).await?)?;
        let (wait, at, before) = (row.int()?, row.time()?, row.time()?);
        Ok(match u64::try_from(wait) {
            Ok(wait @ 1..) => Err(Duration::from_millis(wait)),
            _ => Ok(Try { at, before }),
        })
    }

    pub(super) async fn uncount_guess(&self, step: &GuessStep, counted: Try) -> Result<(), StoreError> {
        let request = TAKE_BACK
            .on([&self.keyspace.guesses(step.guesser)])
            .arg(millis(step.limit.forgotten_after))
            .arg(counted.at.0)
            .arg(counted.before.0)
            .arg(self.time.argument());
        self.router.ask(&request).await.map(drop)
    }

    pub(super) async fn guesses_of(&self, guesser: Guesser) -> Result<Option<Guesses>, StoreError> {
        let kept = self.router.ask(&Request::read("GET", &self.keyspace.guesses(guesser))).await?;
        let text = Row::new(Value::Array(vec![kept]))?.text()?.unwrap_or_default();
        let read = |text: &str| text.parse().ok().map(UnixMillis);
        let times = text.split_once(' ').and_then(|(until, last)| Some((read(until)?, read(last)?)));
        // What cannot be read is counted from nothing by the script, too.
        Ok(times.map(|(until, last)| Guesses { until, last }))
    }

    pub(super) async fn forget_guesses_of(&self, guesser: Guesser) -> Result<bool, StoreError> {
        reply::flag(self.router.ask(&Request::write("DEL", &self.keyspace.guesses(guesser))).await?)
    }
}

fn millis(time: Duration) -> u64 {
    // What a script can count with exactly.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 48)
}
