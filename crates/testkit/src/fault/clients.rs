//! Those who refresh: honest clients of three kinds, thieves, and those who probe sessions that have ended. The honest ones
//! keep the habits of `docs/rotation.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use relatch::ambient::Random;
use relatch_domain::base64url;
use serde_json::{Value, json};

use super::tally::{KindTally, Tally};
use super::{Plan, Planted};
use crate::actor::{PASSWORD, Pair};

/// Between a failure and the next try.
const REST: Duration = Duration::from_millis(20);
/// How long after the last strike a request that must succeed may take. What a refresh had to wait is counted by itself.
const IN_THE_END: Duration = Duration::from_secs(20);
/// Between a refresh of which a try was lost and the next one: as long as the lost one may still be on its way. On this machine that
/// is not thirty seconds.
const FLIGHT: Duration = Duration::from_millis(500);
/// Between two turns of a thief and its victim.
const BETWEEN_TURNS: Duration = Duration::from_millis(200);

/// Where everybody goes: the nodes, and the sign to stop.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) http: reqwest::Client,
    pub(super) bases: Arc<Vec<String>>,
    pub(super) tally: Arc<Tally>,
    pub(super) stop: Arc<AtomicBool>,
    /// Whether the store is in two halves now and then, and each node may be on another.
    parted: bool,
    plan: Plan,
    turn: Arc<AtomicU64>,
}

/// What came of one request.
enum Got {
    Pair(Pair),
    /// 503 or 429: says nothing about the session.
    Nothing,
    /// No answer. The request may still be on its way.
    Lost,
    /// Read the storage again.
    ReadAgain,
    /// 401: the session is over, or so it is said.
    Refused(String),
}

impl Field {
    pub(super) fn new(bases: Vec<String>, plan: Plan, parted: bool) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build();
        Self {
            http: http.expect("a client"),
            bases: Arc::new(bases),
            tally: Arc::default(),
            stop: Arc::default(),
            parted,
            plan,
            turn: Arc::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The nodes in turn.
    fn base(&self) -> (usize, &str) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let number = usize::try_from(turn).unwrap_or_default() % self.bases.len();
        (number, &self.bases[number])
    }

    async fn post(
        &self,
        path: &str,
        body: &Value,
        access: Option<&str>,
        key: Option<&str>,
    ) -> Option<(u16, Value)> {
        let (number, base) = self.base();
        let mut request = self.http.post(format!("{base}{path}")).json(body);
        if let Some(access) = access {
            request = request.bearer_auth(access);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        if number == 0 && status == 200 {
            self.tally.alone.succeeded();
        }
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// How many refreshes the nodes have healed.
    pub(super) async fn heals(&self) -> u64 {
        let body = json!({ "username": "admin", "password": PASSWORD });
        let mut heals = 0;
        for base in &*self.bases {
            let admin = self.answer_of(|| self.http.post(format!("{base}/login")).json(&body)).await;
            let access = admin["access_token"].as_str().expect("the administrator signs in");
            let stats = self.answer_of(|| self.http.get(format!("{base}/admin/stats")).bearer_auth(access));
            heals += stats.await["node"]["refreshes"]["heal"].as_u64().expect("a number of heals");
        }
        heals
    }

    /// The answer to a request that must succeed, if not at once: connections may still be cut.
    async fn answer_of(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Value {
        let begun = Instant::now();
        loop {
            let answer = request().send().await.expect("an answer");
            if answer.status() != 503 {
                let answer = answer.error_for_status().expect("it succeeds");
                return answer.json().await.expect("a body");
            }
            assert!(begun.elapsed() < IN_THE_END, "503 for {IN_THE_END:?}");
            tokio::time::sleep(REST).await;
        }
    }

    async fn refresh(&self, pair: &Pair, key: Option<&str>) -> Got {
        let body = json!({ "refresh_token": pair.refresh });
        match self.post("/token/refresh", &body, Some(&pair.access), key).await {
            Some((200, body)) => Got::Pair(Pair::of(&body)),
            Some((401, body)) => Got::Refused(format!("{} {}", body["error"], body["reason"])),
            Some((400 | 409, _)) => Got::ReadAgain,
            Some(_) => Got::Nothing,
            None => Got::Lost,
        }
    }

    /// Signs in, however long it takes. Nothing if it is all over.
    pub(super) async fn sign_in(&self, name: &str) -> Option<Pair> {
        let body = json!({ "username": name, "password": PASSWORD });
        while !self.is_over() {
            if let Some((200, body)) = self.post("/login", &body, None, None).await {
                return Some(Pair::of(&body));
            }
            tokio::time::sleep(REST).await;
        }
        None
    }
}

/// An attempt key that nobody can guess.
fn attempt_key() -> String {
    base64url::encode(&Random.bytes::<18>().expect("randomness"))
}

/// What kind of client it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keyed,
    Tabs,
    Keyless,
}

impl Kind {
    fn tally(self, tally: &Tally) -> &KindTally {
        match self {
            Self::Keyed => &tally.keyed,
            Self::Tabs => &tally.tabs,
            Self::Keyless => &tally.keyless,
        }
    }
}

/// Refreshes without end, and carries the tokens forward.
pub(super) async fn honest(field: Field, name: String, kind: Kind, mut pair: Pair) {
    let tally = kind.tally(&field.tally);
    while !field.is_over() {
        let key = (kind != Kind::Keyless).then(attempt_key);
        let begun = Instant::now();
        let mut is_on_its_way = false;
        loop {
            tally.tried();
            let (got, is_lost) = match kind {
                Kind::Tabs => two_tabs(&field, &pair, key.as_deref()).await,
                Kind::Keyed | Kind::Keyless => one_tab(&field, &pair, key.as_deref()).await,
            };
            is_on_its_way |= is_lost;
            match got {
                Got::Pair(next) => {
                    tally.succeeded(begun.elapsed());
                    pair = next;
                    if is_on_its_way {
                        tokio::time::sleep(FLIGHT).await;
                    }
                    break;
                }
                Got::Nothing | Got::Lost | Got::ReadAgain => {
                    if field.is_over() {
                        return;
                    }
                    tokio::time::sleep(REST).await;
                }
                Got::Refused(words) => {
                    tally.signed_out();
                    field.tally.words.lock().expect("no panic").push(format!("{kind:?}: {words}"));
                    let Some(again) = field.sign_in(&name).await else { return };
                    pair = again;
                    break;
                }
            }
        }
    }
}

/// What came of it, and whether a request may still be on its way.
async fn one_tab(field: &Field, pair: &Pair, key: Option<&str>) -> (Got, bool) {
    let got = field.refresh(pair, key).await;
    let is_lost = matches!(got, Got::Lost);
    (got, is_lost)
}

/// Two tabs send the same refresh at the same time, and go on when both are answered or lost.
async fn two_tabs(field: &Field, pair: &Pair, key: Option<&str>) -> (Got, bool) {
    let (one, other) = tokio::join!(field.refresh(pair, key), field.refresh(pair, key));
    let is_lost = matches!((&one, &other), (Got::Lost, _) | (_, Got::Lost));
    let got = match (one, other) {
        // The halves of a store agree on all of a token but its time of issue.
        (Got::Pair(one), Got::Pair(other)) if one.refresh != other.refresh && !field.parted => {
            Got::Refused("two tabs got different tokens".to_owned())
        }
        (Got::Refused(words), _) | (_, Got::Refused(words)) => Got::Refused(words),
        (Got::Pair(pair), _) | (_, Got::Pair(pair)) => Got::Pair(pair),
        (Got::ReadAgain, _) | (_, Got::ReadAgain) => Got::ReadAgain,
        (Got::Nothing | Got::Lost, Got::Nothing | Got::Lost) => Got::Nothing,
    };
    (got, is_lost)
}

/// Steals the pair of a client that goes on refreshing, and takes turns with it until the session has ended. A thief who
/// still gets pairs when the time is up was not caught.
pub(super) async fn thief(field: Field, name: String) {
    let sends_keys = field.plan.planted != Some(Planted::KeylessVictims);
    while !field.is_over() {
        let Some(mut honest) = field.sign_in(&name).await else { return };
        let Some(Got::Pair(mut stolen)) = until_told(&field, &honest, None).await else { continue };
        field.tally.thefts.fetch_add(1, Ordering::Relaxed);
        let (begun, mut key) = (Instant::now(), attempt_key());
        let (mut dead, mut got_last, mut honest_since) = (false, Instant::now(), 0_u32);
        while begun.elapsed() < field.plan.thief_patience && !dead {
            match field.refresh(&honest, sends_keys.then_some(key.as_str())).await {
                Got::Pair(pair) => (honest, key, honest_since) = (pair, attempt_key(), honest_since + 1),
                Got::Refused(_) => dead = true,
                Got::Nothing | Got::Lost | Got::ReadAgain => {}
            }
            match field.refresh(&stolen, None).await {
                Got::Pair(pair) => (stolen, got_last, honest_since) = (pair, Instant::now(), 0),
                Got::Refused(_) => dead = true,
                Got::Nothing | Got::Lost | Got::ReadAgain => {}
            }
            tokio::time::sleep(BETWEEN_TURNS).await;
        }
        // Locked out is as good: the honest client has gone on several times, and the thief got nothing.
        let locked_out = honest_since >= 2 && got_last.elapsed() > 5 * BETWEEN_TURNS;
        let which = if dead || locked_out { &field.tally.caught } else { &field.tally.uncaught };
        which.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tries until there is an answer that says something.
async fn until_told(field: &Field, pair: &Pair, key: Option<&str>) -> Option<Got> {
    while !field.is_over() {
        match field.refresh(pair, key).await {
            Got::Nothing | Got::Lost => tokio::time::sleep(REST).await,
            told => return Some(told),
        }
    }
    None
}

/// Signs in, signs out or is signed out by an administrator, in turn, and then tries the tokens again and again, with those of
/// all who went before.
pub(super) async fn revoked(field: Field, name: String) {
    let mut gone: Vec<Pair> = Vec::new();
    let mut admin = None;
    while !field.is_over() {
        let Some(pair) = field.sign_in(&name).await else { return };
        // Used once, so that the store has something to fall back behind.
        let pair = match until_told(&field, &pair, Some(&attempt_key())).await {
            Some(Got::Pair(pair)) => pair,
            Some(Got::Refused(words)) => {
                field.tally.forgotten.fetch_add(1, Ordering::Relaxed);
                field.tally.words.lock().expect("no panic").push(format!("just signed in: {words}"));
                continue;
            }
            _ => continue,
        };
        // Of two halves of a store one may not know the session, nor the administrator's.
        let by_admin = gone.len() % 2 == 1 && !field.parted;
        let is_acknowledged = match field.plan.planted {
            Some(Planted::NoSignOut) => true,
            _ if by_admin => signed_out_by(&field, &mut admin, &pair).await,
            _ => signed_out(&field, &pair).await,
        };
        if !is_acknowledged {
            return;
        }
        field.tally.revoked.fetch_add(1, Ordering::Relaxed);
        gone.push(pair);
        for _ in 0..6 {
            let at = usize::from(Random.bytes::<1>().expect("randomness")[0]) % gone.len();
            probe(&field, &gone[at]).await;
            tokio::time::sleep(REST).await;
        }
    }
    for pair in &gone {
        for _ in 0..field.bases.len() {
            probe(&field, pair).await;
        }
    }
}

/// Signs out until that is acknowledged. False if it is all over.
async fn signed_out(field: &Field, pair: &Pair) -> bool {
    let body = json!({ "refresh_token": pair.refresh });
    while !field.is_over() {
        if let Some((204, _)) = field.post("/logout", &body, Some(&pair.access), None).await {
            return true;
        }
        tokio::time::sleep(REST).await;
    }
    false
}

/// Has an administrator end the session, until that is acknowledged. False if it is all over.
async fn signed_out_by(field: &Field, admin: &mut Option<Pair>, pair: &Pair) -> bool {
    let body = json!({ "refresh_token": pair.refresh });
    while !field.is_over() {
        if admin.is_none() {
            *admin = field.sign_in("admin").await;
        }
        let access = admin.as_ref().map(|admin| admin.access.as_str());
        match field.post("/admin/revoke", &body, access, None).await {
            Some((200, _)) => return true,
            Some((status @ (401 | 404), body)) => {
                field.tally.keyed.signed_out();
                let words = format!("an administrator: {status} {} {}", body["error"], body["reason"]);
                field.tally.words.lock().expect("no panic").push(words);
                *admin = None;
            }
            _ => {}
        }
        tokio::time::sleep(REST).await;
    }
    false
}

async fn probe(field: &Field, pair: &Pair) {
    field.tally.probes.fetch_add(1, Ordering::Relaxed);
    if let Got::Pair(_) = field.refresh(pair, None).await {
        field.tally.came_back.fetch_add(1, Ordering::Relaxed);
    }
}
