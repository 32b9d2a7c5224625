//! The steps on the cutoffs, and the store's time.

use redis::Value;
use relatch_domain::UnixMillis;
use relatch_domain::cutoff::{Cutoffs, Whose};

use super::Handle;
use super::failure::Effect;
use super::reply::{Row, corrupt};
use super::request::{Request, Script, script};
use crate::store::{CutoffRaised, StoreError};

static RAISE: Script = script!("raise_cutoff", Effect::Writes);

impl Handle {
    pub(super) async fn read_cutoffs(&self) -> Result<Cutoffs, StoreError> {
        let answer = self.router.ask(&Request::read("HGETALL", &self.keyspace.cutoffs())).await?;
        let (mut fields, mut cutoffs) = (Row::new(answer)?, Cutoffs::default());
        while let Some(field) = fields.value() {
            let field = Row::new(Value::Array(vec![field]))?.text()?.unwrap_or_default();
            let at = fields.text()?.unwrap_or_default();
            // One of a kind that a later version has added is none of ours.
            if let Ok(whose) = field.parse() {
                cutoffs.raise(whose, read(&at)?);
            }
        }
        Ok(cutoffs)
    }

    pub(super) async fn raise(&self, whose: Whose, at: UnixMillis) -> Result<CutoffRaised, StoreError> {
        let request = RAISE
            .on([&self.keyspace.cutoffs()])
            .arg(whose.to_string())
            .arg(at.0)
            .arg(u8::from(whose == Whose::Everyone))
            .arg(self.time.argument());
        let answer = |answer| {
            let text = Row::new(Value::Array(vec![answer]))?.text()?;
            text.as_deref().map(read).transpose()
        };
        let written = self.write(&request, answer, Option::is_some).await?;
        Ok(match written.answer {
            Some(cutoff) => CutoffRaised::Raised { cutoff, durable: written.durable },
            None => CutoffRaised::InFuture,
        })
    }

    pub(super) async fn latest_of_all(&self) -> Result<UnixMillis, StoreError> {
        if let Some(given) = self.time.given() {
            return Ok(given);
        }
        let mut latest = UnixMillis(0);
        for answer in self.router.ask_each(&Request::keyless(&["TIME"])).await? {
            latest = latest.max(time(answer)?);
        }
        Ok(latest)
    }
}

fn read(text: &str) -> Result<UnixMillis, StoreError> {
    text.parse().map(UnixMillis).map_err(|_| corrupt("a cutoff that is no time"))
}

/// Seconds and microseconds, as `TIME` answers them.
fn time(answer: Value) -> Result<UnixMillis, StoreError> {
    let mut row = Row::new(answer)?;
    let mut number = || -> Result<u64, StoreError> {
        let text = row.text()?.unwrap_or_default();
        text.parse().map_err(|_| corrupt("a time that is no number"))
    };
    Ok(UnixMillis(number()?.saturating_mul(1000).saturating_add(number()? / 1000)))
}
