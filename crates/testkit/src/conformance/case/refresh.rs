//! Refreshes, as the application goes through them, and what a store that loses writes does to them.

use std::time::Duration;

use relatch::ambient::Clock;
use relatch::store::{EndNote, EndStep, RotateStep, Rotated, SwapStep};
use relatch_domain::attempt::AttemptHash;
use relatch_domain::ids::{MacKeyId, OriginTag, Thumbprint};
use relatch_domain::revocation::Scope;
use relatch_domain::rotation::{Fresh, Presented, Verdict, judge, next};
use relatch_domain::session::{Delivery, EndReason, SessionRecord, Standing};
use relatch_domain::{ClientNumber, Generation, Nonce, UnixSeconds};

use super::{Case, Issued, OWN_KEY};
use crate::conformance::command::{At, Token, Twist, policy};
use crate::conformance::pair::Divergence;

impl Case {
    pub(super) fn rotate_step(
        &mut self,
        at: At,
        token: Token,
        attempt: u8,
        twist: Twist,
        policy_number: u8,
    ) -> RotateStep {
        let fresh = Fresh { nonce: self.fresh_nonce(), mac_key: MacKeyId(attempt % 2), origin: OriginTag(9) };
        let none = Issued { generation: Generation(0), nonce: Nonce::default(), at: UnixSeconds(0) };
        let now = self.clock.now().seconds();
        let forged = self.fresh_nonce();
        let history = self.histories.entry(at).or_default();
        let last = history.tokens.last().copied().unwrap_or(none);
        let issued = match token {
            Token::Last => last,
            Token::Before(back) => history.tokens.iter().rev().nth(back.into()).copied().unwrap_or(last),
            Token::Ahead(by, age) => Issued {
                generation: Generation(last.generation.0.saturating_add(by.into())),
                nonce: forged,
                at: now.minus(Duration::from_secs(age.into())),
            },
        };
        let record = history.records.last();
        let (client, delivery) = record.map(|record| (record.client, record.delivery)).unwrap_or_default();
        let own_key = record.filter(|record| record.dpop_bound).map(|_| OWN_KEY);
        let presented = Presented {
            session: self.session(at),
            generation: issued.generation,
            nonce: issued.nonce,
            issued_at: issued.at,
            attempt: AttemptHash::from_bytes([attempt; 8]),
            client: if twist == Twist::Client { ClientNumber(client.0 ^ 1) } else { client },
            delivery: if twist == Twist::Delivery { other_than(delivery) } else { delivery },
            thumbprint: if twist == Twist::Key { other_key(own_key, attempt) } else { own_key },
        };
        RotateStep { presented, fresh, policy: policy(policy_number) }
    }

    /// The loop of a refresh, as the application goes through it.
    pub(super) async fn refresh(&mut self, at: At, step: &RotateStep) -> Result<(), Divergence> {
        let RotateStep { presented, fresh, policy } = step;
        let mut outcome = self.rotate(step).await?;
        for _ in 0..3 {
            self.note_applied(at, step, &outcome);
            let Rotated::Blocked(saw) = &outcome else { return Ok(()) };
            let verdict = judge(&saw.seen, presented, saw.now, policy);
            self.coverage.verdict(verdict);
            if saw.seen.user == Standing::Gone {
                self.coverage.happened("refresh_of_nobody");
            }
            match (verdict, saw.seen.session) {
                (Verdict::Rotate, _) => {
                    return Err(Divergence::of_rule("a step is blocked that judge would let pass", &outcome));
                }
                (Verdict::Heal, Some(as_seen)) => {
                    let new = next(&as_seen, presented, fresh, saw.now, policy);
                    outcome = self.swap(&SwapStep { session: presented.session, as_seen, new }).await?;
                }
                (Verdict::Reuse, _) => {
                    let scope = Scope::One(presented.session.session);
                    let (user, reason) = (presented.session.user, EndReason::Reuse);
                    return self
                        .end(&EndStep { user, scope, begun_before: None, reason, note: EndNote::default() })
                        .await
                        .map(drop);
                }
                _ => return Ok(()),
            }
        }
        Err(Divergence::of_rule("a refresh that nobody disturbs comes to an end", step))
    }

    pub(super) fn note_applied(&mut self, at: At, step: &RotateStep, outcome: &Rotated) {
        let Rotated::Applied(saw) = outcome else { return };
        if let Some(record) = &saw.seen.session {
            self.coverage.verdict(Verdict::Rotate);
            self.remember(at, &next(record, &step.presented, &step.fresh, saw.now, &step.policy));
        }
    }

    /// Puts an older record back, as a store that was restored would have it. Not an ended one's: ends are not
    /// undone by any step.
    pub(super) async fn lose_writes(&mut self, at: At, count: u8) -> Result<(), Divergence> {
        let session = self.session(at);
        let saw = self.pair.ask(("look", at), async |store| store.observe(session).await).await?;
        let older = self.histories.get(&at).and_then(|all| all.records.iter().rev().nth(count.into()));
        let (Some(as_seen), Some(new)) = (saw.seen.session, older.copied()) else { return Ok(()) };
        if as_seen.ended.is_none() {
            self.swap(&SwapStep { session, as_seen, new }).await?;
        }
        Ok(())
    }

    pub(super) async fn swap_unseen(&mut self, at: At) -> Result<(), Divergence> {
        let session = self.session(at);
        let Some(last) = self.histories.get(&at).and_then(|all| all.records.last()).copied() else {
            return Ok(());
        };
        let as_seen = SessionRecord { nonce: self.fresh_nonce(), ..last };
        let swapped = self.swap(&SwapStep { session, as_seen, new: last }).await?;
        match swapped {
            Rotated::Blocked(_) => Ok(()),
            Rotated::Applied(_) => {
                Err(Divergence::of_rule("a record that changed is not replaced", &as_seen))
            }
        }
    }

    pub(super) async fn rotate(&self, step: &RotateStep) -> Result<Rotated, Divergence> {
        self.pair.ask(step, async |store| store.rotate(step).await).await
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, Divergence> {
        self.pair.ask(step, async |store| store.swap(step).await).await
    }
}

fn other_than(delivery: Delivery) -> Delivery {
    match delivery {
        Delivery::Body => Delivery::Hybrid,
        Delivery::Hybrid => Delivery::Cookie,
        Delivery::Cookie => Delivery::Body,
    }
}

/// Another key, or none where there should be one.
fn other_key(own: Option<Thumbprint>, choice: u8) -> Option<Thumbprint> {
    (own.is_none() || choice.is_multiple_of(2)).then_some(Thumbprint([2; 32]))
}
