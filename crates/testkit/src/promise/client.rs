//! An honest client: one storage, several tabs that share it, and the habits that the documents ask of it.

use std::time::Duration;

use relatch_domain::attempt::AttemptHash;
use relatch_domain::ids::Thumbprint;
use relatch_domain::rotation::Verdict;

use super::server::{Answer, BOUND_KEY, Request, Token};

/// By what a client can be told from somebody who copied its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It sends an attempt key with each refresh, and keeps it beside the token.
    AttemptKey,
    /// Its session is bound to a key that never leaves the device.
    Dpop,
    /// By nothing.
    Plain,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::AttemptKey, Self::Dpop, Self::Plain];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AttemptKey => "attempt key",
            Self::Dpop => "DPoP",
            Self::Plain => "neither",
        }
    }
}

/// What a client does so that it is not signed out. A test takes each habit away and finds a sign-out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// A request is given up after [`Client::PATIENCE`], and its answer never used afterwards.
    pub(super) gives_up: bool,
    /// The next token is not presented while a request with the one before it may still be on its way.
    pub(super) takes_turns: bool,
    /// The attempt key is kept until the token that it belongs to has been replaced.
    pub(super) keeps_the_key: bool,
}

impl Habits {
    pub(super) const GOOD: Self = Self { gives_up: true, takes_turns: true, keeps_the_key: true };
}

/// What is written in one write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) token: Token,
    pub(super) key: Option<AttemptHash>,
}

/// A refresh under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange {
    pub(super) request: Request,
    begun: Duration,
    pub(super) answer: Option<Answer>,
}

/// One device with its tabs.
pub(super) struct Client {
    pub(super) kind: Kind,
    habits: Habits,
    pub(super) storage: Storage,
    pub(super) signed_out: bool,
    pub(super) tabs: [Option<Exchange>; Client::TABS],
    /// Requests that nobody waits for any more and that the network may still deliver.
    pub(super) strays: Vec<Exchange>,
    keys: u64,
}

/// What a tab made of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It stored the new token.
    Stored,
    /// It came too late and was not looked at.
    TooLate,
    /// Nothing changed; it will try again.
    TriesAgain,
    /// The session is over.
    SignedOut,
}

impl Client {
    pub(super) const TABS: usize = 3;
    /// How long a request may be under way, there and back. With the difference of clocks, twice this is less than
    /// `heal.slack`.
    pub(super) const PATIENCE: Duration = Duration::from_secs(30);

    pub(super) fn new(kind: Kind, habits: Habits, token: Token) -> Self {
        let storage = Storage { token, key: None };
        let mut client = Self {
            kind,
            habits,
            storage,
            signed_out: false,
            tabs: [None; Self::TABS],
            strays: Vec::new(),
            keys: 0,
        };
        client.store(token);
        client
    }

    /// A tab reads the storage and sends a refresh. Not if it waits for one, or would not take its turn.
    pub(super) fn begin(&mut self, tab: usize, elapsed: Duration) -> Option<Request> {
        let older = |exchange: &Exchange| {
            exchange.request.token != self.storage.token
                && elapsed.saturating_sub(exchange.begun) < Self::PATIENCE
        };
        let mut under_way = self.tabs.iter().flatten().chain(&self.strays);
        if self.signed_out || self.tabs[tab].is_some() || (self.habits.takes_turns && under_way.any(older)) {
            return None;
        }
        if !self.habits.keeps_the_key {
            self.store(self.storage.token);
        }
        let Storage { token, key } = self.storage;
        let request = Request { token, attempt: key, thumbprint: self.proof() };
        self.tabs[tab] = Some(Exchange { request, begun: elapsed, answer: None });
        Some(request)
    }

    /// A tab waits no longer. Its request may still arrive.
    pub(super) fn give_up(&mut self, tab: usize) -> bool {
        let exchange = self.tabs[tab].take();
        self.strays.extend(exchange);
        exchange.is_some()
    }

    /// Whether the network may still carry it.
    pub(super) fn is_alive(exchange: &Exchange, elapsed: Duration) -> bool {
        elapsed.saturating_sub(exchange.begun) < Self::PATIENCE
    }

    /// The answer reaches its tab.
    pub(super) fn take(&mut self, tab: usize, elapsed: Duration) -> Option<(Answer, Taken)> {
        let exchange = self.tabs[tab]?;
        let answer = exchange.answer?;
        self.tabs[tab] = None;
        if self.habits.gives_up && !Self::is_alive(&exchange, elapsed) {
            return Some((answer, Taken::TooLate));
        }
        Some((answer, self.make_of(answer)))
    }

    fn make_of(&mut self, answer: Answer) -> Taken {
        if let Some(token) = answer.token {
            self.store(token);
            return Taken::Stored;
        }
        match answer.verdict {
            Verdict::Superseded | Verdict::Throttled(_) | Verdict::AttemptKeyReused => Taken::TriesAgain,
            _ => {
                self.signed_out = true;
                Taken::SignedOut
            }
        }
    }

    /// Token and fresh attempt key, in one write.
    fn store(&mut self, token: Token) {
        self.keys += 1;
        let key = AttemptHash::from_bytes((1000 + self.keys).to_be_bytes());
        self.storage = Storage { token, key: key.filter(|_| self.kind == Kind::AttemptKey) };
    }

    fn proof(&self) -> Option<Thumbprint> {
        (self.kind == Kind::Dpop).then_some(BOUND_KEY)
    }
}
