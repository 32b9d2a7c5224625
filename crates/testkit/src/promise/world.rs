//! A case, played: operations in, the first broken property out.

use std::collections::HashMap;
use std::time::Duration;

use relatch_domain::attempt::AttemptHash;
use relatch_domain::budget::Budget;
use relatch_domain::ids::Nonce;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::rotation::Verdict;
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::time::UnixMillis;

use super::client::{Client, Habits, Kind, Taken};
use super::coverage::Coverage;
use super::operation::{Case, Operation, ThiefsKey};
use super::rule::Rule;
use super::server::{Answer, Request, Server, Time, Token};
use super::story::Story;
use super::thief::Thief;

type Checked = Result<(), String>;

/// Everything there is.
pub(super) struct World<'a> {
    server: Server,
    client: Client,
    thief: Thief,
    time: Time,
    theft: bool,
    /// When a token was rotated out for the last time, by the world's time and by the server's clock.
    replaced: HashMap<Nonce, (Duration, UnixMillis)>,
    /// Whether the session has ended, as far as the server can know.
    ended: bool,
    /// Whether it ended for a reason that an honest client is told to expect.
    excused: bool,
    coverage: &'a mut Coverage,
    pub(super) story: Story,
}

impl<'a> World<'a> {
    pub(super) fn new(
        case: &Case,
        rule: Rule,
        habits: Habits,
        story: Story,
        coverage: &'a mut Coverage,
    ) -> Self {
        let budget = if case.budget {
            Budget::new(Duration::from_secs(1), 3).expect("three tokens are few")
        } else {
            Budget::UNLIMITED
        };
        let policy = RotationPolicy { grace: case.grace, budget, ..RotationPolicy::default() };
        let server = Server::new(rule, policy, case.kind == Kind::Dpop, case.memory);
        let client = Client::new(case.kind, habits, server.current());
        Self {
            server,
            client,
            thief: Thief::default(),
            time: Time { elapsed: Duration::ZERO, behind: Duration::ZERO },
            theft: case.theft,
            replaced: HashMap::new(),
            ended: false,
            excused: false,
            coverage,
            story,
        }
    }

    /// Plays all of it, or up to the first broken property.
    pub(super) fn play(&mut self, operations: &[Operation]) -> Checked {
        self.coverage.cases += 1;
        for operation in operations {
            self.coverage.operations += 1;
            self.step(*operation)?;
        }
        Ok(())
    }

    fn step(&mut self, operation: Operation) -> Checked {
        match operation {
            Operation::Wait(pause) => {
                self.time.elapsed += pause;
                self.story.tell(|| format!("{pause:?} pass"));
                Ok(())
            }
            Operation::ClockBack(by) => {
                if self.time.behind + by <= Time::MAX_BEHIND {
                    self.time.behind += by;
                    self.story.tell(|| format!("the server's clock is set back by {by:?}"));
                }
                Ok(())
            }
            Operation::Refresh(tab) => {
                self.begin(tab);
                self.arrive(tab)?;
                self.deliver(tab);
                Ok(())
            }
            Operation::Begin(tab) => {
                self.begin(tab);
                Ok(())
            }
            Operation::Arrive(tab) => self.arrive(tab),
            Operation::Deliver(tab) => {
                self.deliver(tab);
                Ok(())
            }
            Operation::GiveUp(tab) => {
                if self.client.give_up(tab) {
                    self.story.tell(|| format!("tab {tab} stops waiting"));
                }
                Ok(())
            }
            Operation::Stray(which) => self.stray(which),
            Operation::Copy { with_key } if self.theft => {
                self.thief.copy(&self.client.storage, with_key);
                let (token, key) =
                    (self.client.storage.token, if with_key { " and its pending key" } else { "" });
                self.story.tell(|| format!("a thief copies generation {}{key}", token.generation.0));
                Ok(())
            }
            Operation::Thief { which, key } if self.theft => self.thief_presents(which, key),
            Operation::ThiefGoesOn(times) if self.theft => {
                (0..times).try_for_each(|_| self.thief_presents(0, ThiefsKey::None))
            }
            Operation::Copy { .. } | Operation::Thief { .. } | Operation::ThiefGoesOn(_) => Ok(()),
            Operation::Rollback(writes) => {
                self.roll_back(writes);
                Ok(())
            }
            Operation::Revoke => {
                self.server.end(EndReason::RevokedByAdmin, self.time.now());
                (self.ended, self.excused) = (true, true);
                self.story.tell(|| "an administrator ends the session".into());
                Ok(())
            }
        }
    }

    fn begin(&mut self, tab: usize) {
        if let Some(request) = self.client.begin(tab, self.time.elapsed) {
            self.story.tell(|| format!("tab {tab} sends a refresh of {}", words(&request)));
        }
    }

    fn arrive(&mut self, tab: usize) -> Checked {
        let elapsed = self.time.elapsed;
        let Some(exchange) = self.client.tabs[tab].filter(|exchange| Client::is_alive(exchange, elapsed))
        else {
            return Ok(());
        };
        let answer = self.honest(&exchange.request, &format!("tab {tab}'s request"))?;
        if let Some(exchange) = &mut self.client.tabs[tab] {
            exchange.answer = Some(answer);
        }
        Ok(())
    }

    fn deliver(&mut self, tab: usize) {
        let Some((_, taken)) = self.client.take(tab, self.time.elapsed) else { return };
        self.coverage.count(
            self.client.kind,
            match taken {
                Taken::Stored => "an answer was stored",
                Taken::TooLate => "an answer came too late",
                Taken::TriesAgain => "a tab tries again",
                Taken::SignedOut => "a tab saw the session's end",
            },
        );
        let now = self.client.storage.token.generation.0;
        self.story
            .tell(|| format!("tab {tab} has its answer: {taken:?}, the storage holds generation {now}"));
    }

    fn stray(&mut self, which: usize) -> Checked {
        if which >= self.client.strays.len() {
            return Ok(());
        }
        let exchange = self.client.strays.remove(which);
        if Client::is_alive(&exchange, self.time.elapsed) {
            self.coverage.count(self.client.kind, "a stray request arrived");
            self.honest(&exchange.request, "a request that nobody waits for")?;
        }
        Ok(())
    }

    fn roll_back(&mut self, writes: usize) {
        if self.server.roll_back(writes) {
            self.thief.sees_a_rollback();
            self.ended = self.server.has_ended();
            let generation = self.server.record.generation.0;
            self.story.tell(|| format!("the store falls back to generation {generation}"));
        }
    }

    fn honest(&mut self, request: &Request, who: &str) -> Result<Answer, String> {
        let kind = self.client.kind;
        let before = self.server.record;
        let rolled_back = self.server.rolled_back;
        let answer = self.server.refresh(request, self.time.now());
        self.story.tell(|| format!("{who} with {} arrives: {}", words(request), outcome(&answer)));
        self.coverage.count(kind, answer.verdict.name());
        self.held_in_common(&before, &answer)?;
        self.no_accident(&before, request, &answer)?;
        match answer.verdict {
            Verdict::Rotate | Verdict::Heal => self.thief.honest_goes_on(request.token, self.time.elapsed),
            Verdict::Reuse if self.thief.has_succeeded() => self.coverage.count(kind, "a thief was caught"),
            Verdict::Revoked(_) if before.ended.is_none() => {
                self.coverage.count(kind, "a node remembered what the store had lost");
            }
            Verdict::Retry if rolled_back => self.coverage.count(kind, "a retry after a rollback"),
            _ => {}
        }
        self.note(request, &answer);
        Ok(answer)
    }

    fn thief_presents(&mut self, which: usize, key: ThiefsKey) -> Checked {
        let kind = self.client.kind;
        let Some(request) = self.thief.request(which, key, kind) else { return Ok(()) };
        let before = self.server.record;
        let answer = self.server.refresh(&request, self.time.now());
        self.story.tell(|| format!("the thief presents {}: {}", words(&request), outcome(&answer)));
        self.coverage.count(kind, thiefs(answer.verdict));
        self.held_in_common(&before, &answer)?;
        let Some(token) = answer.token else {
            self.note(&request, &answer);
            return Ok(());
        };
        if kind == Kind::Dpop {
            return Err("the thief got a token of a session that is bound to a key it does not have".into());
        }
        let now = self.time.now();
        let since = self.replaced.get(&request.token.nonce).map(|(_, at)| now.age_since(*at));
        let shadowed = kind == Kind::Plain && since.is_some_and(|age| age < self.grace());
        if self.thief.had_the_pending_key() {
            self.coverage.count(kind, "a thief succeeded after it copied the pending key");
        }
        self.thief.succeeds(token, shadowed)?;
        self.note(&request, &answer);
        Ok(())
    }

    /// Remembers what later answers are measured against.
    fn note(&mut self, request: &Request, answer: &Answer) {
        if matches!(answer.verdict, Verdict::Rotate | Verdict::Heal) {
            self.replaced.insert(request.token.nonce, (self.time.elapsed, self.time.now()));
        }
        if answer.verdict == Verdict::Reuse {
            self.ended = true;
            self.excused |= self.thief.acted || self.client.kind == Kind::Plain;
        }
    }

    /// Whoever asked: what holds of every answer.
    fn held_in_common(&mut self, before: &SessionRecord, answer: &Answer) -> Checked {
        let record = self.server.record;
        let moved = matches!(answer.verdict, Verdict::Rotate | Verdict::Heal);
        if answer.token.is_some() && self.ended {
            return Err("the session had ended and a token was handed out".into());
        }
        if moved && record.generation <= before.generation {
            return Err("a rotation did not move the generation on".into());
        }
        if !moved && answer.verdict != Verdict::Reuse && record != *before {
            return Err("an answer that mints nothing new changed the record".into());
        }
        if answer.token.is_some() && before.absolute_deadline.is_over(self.time.now()) {
            return Err("a token was handed out after the absolute deadline".into());
        }
        if record.idle_deadline > record.absolute_deadline {
            return Err("the idle deadline outlives the absolute one".into());
        }
        self.one_current_token()
    }

    /// Without lost writes, the current token is the only one of its generation or of a later one.
    fn one_current_token(&self) -> Checked {
        let current = self.server.current();
        let others = self.server.minted.iter().filter(|token| **token != current);
        if !self.server.rolled_back && others.into_iter().any(|token| token.generation >= current.generation)
        {
            return Err("two tokens of one session are good at the same time".into());
        }
        Ok(())
    }

    /// As long as no thief has acted, an honest client is refused for a reason that it was told of.
    fn no_accident(&self, before: &SessionRecord, request: &Request, answer: &Answer) -> Checked {
        let now = self.time.now();
        let plain = self.client.kind == Kind::Plain;
        // The record's clock may have been behind the one that issued the token.
        let idle_ttl = self.server.policy.idle_ttl.saturating_sub(Time::MAX_BEHIND);
        let told = match answer.verdict {
            _ if self.thief.acted => true,
            Verdict::Rotate
            | Verdict::Retry
            | Verdict::Heal
            | Verdict::Superseded
            | Verdict::Throttled(_) => true,
            Verdict::Revoked(_) => self.excused,
            Verdict::Expired(_) => {
                before.absolute_deadline.is_over(now) || request.token.issued_at.plus(idle_ttl).is_over(now)
            }
            Verdict::Reuse => plain && self.age_of(request).is_some_and(|age| age >= self.grace()),
            Verdict::Unknown | Verdict::Disabled | Verdict::Mismatch(_) | Verdict::AttemptKeyReused => false,
        };
        if told { Ok(()) } else { Err(format!("an honest client was refused: {}", answer.verdict.name())) }
    }

    /// How long ago the token was rotated out, for the last time.
    fn age_of(&self, request: &Request) -> Option<Duration> {
        self.replaced.get(&request.token.nonce).map(|(at, _)| self.time.elapsed.saturating_sub(*at))
    }

    const fn grace(&self) -> Duration {
        self.server.policy.grace
    }
}

fn words(request: &Request) -> String {
    let number = |key: AttemptHash| u64::from_be_bytes(key.bytes());
    let key = request.attempt.map_or("no key".into(), |key| format!("key {}", number(key)));
    format!("{}, {key}", name(&request.token))
}

/// Generation and the start of the nonce.
fn name(token: &Token) -> String {
    let digits = u64::from_be_bytes(token.nonce.0);
    let short = if digits > 0xffff { digits >> 48 } else { digits };
    format!("generation {} ({short:x})", token.generation.0)
}

fn outcome(answer: &Answer) -> String {
    let token = answer.token.map(|token| format!(", {}", name(&token)));
    format!("{}{}", answer.verdict.name(), token.unwrap_or_default())
}

const fn thiefs(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Rotate => "thief: rotate",
        Verdict::Retry => "thief: retry",
        Verdict::Heal => "thief: heal",
        Verdict::Superseded => "thief: superseded",
        Verdict::Reuse => "thief: reuse",
        Verdict::Mismatch(_) => "thief: mismatch",
        _ => "thief: refused otherwise",
    }
}
