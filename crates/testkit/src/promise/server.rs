//! The server of the model: one record, and everything that the record has been, for a rollback.

use std::time::Duration;

use relatch_domain::attempt::AttemptHash;
use relatch_domain::ids::{
    Generation, MacKeyId, Nonce, OriginTag, SessionId, SessionRef, Thumbprint, UserId,
};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation;
use relatch_domain::rotation::{Fresh, Presented, Verdict};
use relatch_domain::session::{EndReason, Seen, SessionRecord, Standing};
use relatch_domain::testing::{AROUND, live_record};
use relatch_domain::time::{UnixMillis, UnixSeconds};

use super::rule::Rule;

/// The key to which a `DPoP` session is bound.
pub(super) const BOUND_KEY: Thumbprint = Thumbprint([0xd0; 32]);

/// Without a cutoff nothing asks when it began.
const SESSION: SessionRef =
    SessionRef { user: UserId::from_bytes([1; 16]), session: SessionId::from_bytes([2; 16]) };

/// A refresh token as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) generation: Generation,
    pub(super) nonce: Nonce,
    pub(super) issued_at: UnixSeconds,
}

/// A refresh as it travels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) token: Token,
    pub(super) attempt: Option<AttemptHash>,
    pub(super) thumbprint: Option<Thumbprint>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) token: Option<Token>,
}

/// The server and its store.
pub(super) struct Server {
    rule: Rule,
    pub(super) policy: RotationPolicy,
    pub(super) record: SessionRecord,
    /// What the store has held, oldest first.
    past: Vec<SessionRecord>,
    pub(super) rolled_back: bool,
    /// Whether the node remembers the ends it heard of, and what it remembers.
    memory: bool,
    remembered: Option<EndReason>,
    /// Every token ever minted.
    pub(super) minted: Vec<Token>,
}

impl Server {
    /// A session that signed in a moment ago.
    pub(super) fn new(rule: Rule, policy: RotationPolicy, bound: bool, memory: bool) -> Self {
        let start = UnixSeconds(AROUND);
        let absolute_deadline = start.plus(policy.absolute_ttl);
        let record = SessionRecord {
            idle_deadline: policy.idle_deadline(start.millis(), absolute_deadline),
            absolute_deadline,
            dpop_bound: bound,
            nonce: Nonce(1_u64.to_be_bytes()),
            ..live_record(start)
        };
        let mut server = Self {
            rule,
            policy,
            record,
            past: vec![record],
            rolled_back: false,
            memory,
            remembered: None,
            minted: Vec::new(),
        };
        server.minted.push(server.current());
        server
    }

    /// The token that the record holds.
    pub(super) fn current(&self) -> Token {
        Token {
            generation: self.record.generation,
            nonce: self.record.nonce,
            issued_at: self.record.rotated_at.seconds(),
        }
    }

    /// One refresh, as `app/refresh.rs` carries it out.
    pub(super) fn refresh(&mut self, request: &Request, now: UnixMillis) -> Answer {
        if let Some(reason) = self.remembered {
            return Answer { verdict: Verdict::Revoked(reason), token: None };
        }
        let (seen, presented) = (self.seen(), self.presented(request));
        let verdict = if (self.rule.guards_hold)(&seen, &presented, now, &self.policy) {
            Verdict::Rotate
        } else {
            (self.rule.judge)(&seen, &presented, now, &self.policy)
        };
        match verdict {
            Verdict::Rotate | Verdict::Heal => self.rotate(&presented, now),
            Verdict::Reuse => self.end(EndReason::Reuse, now),
            _ => {}
        }
        let mints = matches!(verdict, Verdict::Rotate | Verdict::Heal | Verdict::Retry);
        Answer { verdict, token: mints.then(|| self.current()) }
    }

    /// Ends the session for good.
    pub(super) fn end(&mut self, reason: EndReason, now: UnixMillis) {
        if let Some((ended, _)) = revocation::end(&self.record, reason, now) {
            self.write(ended);
        }
        if self.memory {
            self.remembered = self.remembered.or(Some(reason));
        }
    }

    /// The store loses its last writes, so many of them at most, and never the sign-in. Once.
    pub(super) fn roll_back(&mut self, writes: usize) -> bool {
        if self.rolled_back || self.past.len() < 2 {
            return false;
        }
        let kept = self.past.len().saturating_sub(writes.max(1)).max(1);
        self.past.truncate(kept);
        self.record = self.past[kept - 1];
        self.rolled_back = true;
        true
    }

    /// Whether the server knows that the session has ended: from the record or from its own memory.
    pub(super) fn has_ended(&self) -> bool {
        self.record.ended.is_some() || self.remembered.is_some()
    }

    fn rotate(&mut self, presented: &Presented, now: UnixMillis) {
        let number = self.minted.len() as u64 + 1;
        let nonce = (self.rule.nonce)(presented, Nonce(number.to_be_bytes()));
        let fresh = Fresh { nonce, mac_key: MacKeyId(1), origin: OriginTag(0) };
        self.write((self.rule.next)(&self.record, presented, &fresh, now, &self.policy));
        self.minted.push(self.current());
    }

    fn write(&mut self, record: SessionRecord) {
        self.record = record;
        self.past.push(record);
    }

    fn seen(&self) -> Seen {
        Seen {
            session: Some(self.record),
            thumbprint: self.record.dpop_bound.then_some(BOUND_KEY),
            user: Standing::Enabled,
        }
    }

    fn presented(&self, request: &Request) -> Presented {
        Presented {
            session: SESSION,
            generation: request.token.generation,
            nonce: request.token.nonce,
            issued_at: request.token.issued_at,
            attempt: request.attempt,
            client: self.record.client,
            delivery: self.record.delivery,
            thumbprint: request.thumbprint,
        }
    }
}

/// The world's time: an even flow, and a clock that shows it and is set back now and then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// Since sign-in.
    pub(super) elapsed: Duration,
    /// How far the server's clock has been set back in all.
    pub(super) behind: Duration,
}

impl Time {
    /// The most that a server's clock is behind another's: with the networks' delays, less than `heal.slack`.
    pub(super) const MAX_BEHIND: Duration = Duration::from_secs(50);

    /// What the server's clock shows. The session signed in at the start.
    pub(super) fn now(&self) -> UnixMillis {
        UnixSeconds(AROUND).millis().plus((Self::MAX_BEHIND + self.elapsed).saturating_sub(self.behind))
    }
}
