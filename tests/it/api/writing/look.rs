//! How everything stands: on each node, in the store, in the log and in the audit trail.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use relatch_domain::record::decode;
use relatch_domain::{SessionId, SessionRef};
use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::{Device, Node, TestApp};
use serde_json::Value;

use super::acts::Act;

/// How long an end that was answered may take to every node.
const SOON: Duration = Duration::from_secs(1);
/// How long an operation that nobody finishes may stay open: another node does after a second.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// An act that was carried out, or was not.
pub(super) struct Outcome {
    pub(super) act: Act,
    /// How the node was cut off, for messages.
    pub(super) how: String,
    pub(super) is_answered: bool,
    /// How often it was sent.
    pub(super) tries: usize,
}

/// The journal of a store.
pub(super) struct Journal {
    log: String,
    open: String,
}

impl Journal {
    pub(super) fn of(redis: &RedisServer) -> Self {
        let log = redis.told("XRANGE relatch:{journal}:log - +");
        Self { log, open: redis.say("HLEN relatch:{journal}:operations") }
    }

    /// How many entries have this subject. The log is as a stream is told: names and values in turn.
    fn entries(&self, subject: &str) -> usize {
        let lines: Vec<_> = self.log.lines().filter(|line| !line.starts_with(['$', '*'])).collect();
        lines.windows(2).filter(|pair| *pair == ["s", subject]).count()
    }

    /// How many live entries end this session.
    pub(super) fn ends(&self, device: &Device) -> usize {
        let user = self.entries(&format!("user {}", device.user_id));
        self.entries(&format!("session {}", device.session_id)) + user
    }
}

/// Everything as the store has it, before any node was asked.
pub(super) struct Stored {
    journal: Journal,
    /// The sessions that have not ended.
    alive: BTreeSet<String>,
}

impl Stored {
    /// What these servers hold about the users of these acts. The first one has the journal.
    pub(super) fn of(servers: &[&RedisServer], outcomes: &[Outcome]) -> Self {
        let mut alive = BTreeSet::new();
        for server in servers {
            let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
            for Outcome { act, .. } in outcomes {
                let key = format!("relatch:{{{}}}:s", act.user);
                // The shards of a Cluster answer an error about keys that they do not have.
                let records: Vec<(Vec<u8>, Vec<u8>)> =
                    redis::cmd("HGETALL").arg(key).query(&mut connection).unwrap_or_default();
                let live = records.into_iter().filter(|(_, record)| decode(record).unwrap().ended.is_none());
                alive.extend(live.map(|(id, _)| {
                    let session = SessionId::from_bytes(id.try_into().unwrap());
                    SessionRef { user: act.user.parse().unwrap(), session }.to_string()
                }));
            }
        }
        Self { journal: Journal::of(servers[0]), alive }
    }
}

/// Waits until no operation is open.
pub(super) async fn until_closed(journal: impl Fn() -> Journal) {
    let begun = Instant::now();
    while journal().open != ":0" {
        assert!(begun.elapsed() < LEFT_BEHIND, "operations stay open: {}", journal().open);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every one of these nodes refuses the devices within a second.
pub(super) async fn are_refused_soon(nodes: Vec<Node>, devices: Vec<Device>, how: String) {
    let begun = Instant::now();
    for node in nodes {
        for device in &devices {
            let there = Device { node: node.clone(), ..device.clone() };
            loop {
                let status = there.check().await.status;
                if status == 401 {
                    break;
                }
                assert!(begun.elapsed() < SOON, "{how}: {} still lets in: {status}", node.base());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Whether a device is refused: everywhere, or nowhere.
async fn is_refused(nodes: &[&Node], device: &Device, how: &str) -> bool {
    let mut statuses = Vec::new();
    for node in nodes {
        let there = Device { node: (*node).clone(), ..device.clone() };
        statuses.push(("check", there.check().await.status));
        statuses.push(("live", there.get("/auth/check?live=true").await.status));
    }
    // A browser's token is in a cookie.
    if !device.pair.refresh.is_empty() {
        statuses.push(("refresh", device.send_refresh(None).await.status));
    }
    let refused = statuses.iter().all(|(_, status)| *status == 401);
    let let_in = statuses.iter().all(|(_, status)| *status == 200);
    assert!(refused || let_in, "{how}: {} {statuses:?}", device.session_id);
    refused
}

/// The user's sessions that the store has as live, whatever nodes have heard of.
async fn alive_in_the_store(app: &TestApp, act: &Act) -> Vec<String> {
    let path = format!("/admin/users/{}/sessions", act.user);
    let listed = app.admin().await.get(&path).await;
    if act.kind.creates() || listed.status == 404 {
        return Vec::new();
    }
    let items = listed.ok()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["session_id"].as_str().unwrap().to_owned()).collect()
}

/// What is on record about a user.
async fn audit_of(app: &TestApp, act: &Act) -> Vec<Value> {
    let path = if act.kind.creates() {
        "/admin/audit?event=user_created&limit=200".to_owned()
    } else {
        format!("/admin/audit?user={}&limit=200", act.user)
    };
    let page = app.admin().await.get(&path).await.ok();
    let mut records = page["items"].as_array().unwrap().clone();
    records.retain(|record| !act.kind.creates() || record["details"]["username"] == act.name.as_str());
    records
}

/// Looks at an act when nothing about it is under way any more.
/// Whether it was carried out.
pub(super) async fn at_rest(
    app: &TestApp,
    nodes: &[&Node],
    stored: Option<&Stored>,
    outcome: &Outcome,
) -> bool {
    let Outcome { act, how, is_answered, tries } = outcome;
    // Before a device asks: whoever finds a session alive that is known to have ended, ends it.
    let alive = alive_in_the_store(app, act).await;
    // Before anybody signs in to see whether the password is another one.
    let mut ended = Vec::new();
    for device in act.victims.iter().chain(&act.spared).chain(&act.others) {
        let is_ended = is_refused(nodes, device, how).await;
        assert_eq!(alive.contains(&device.session_id), !is_ended, "{how}: {} is listed", device.session_id);
        if let Some(stored) = stored {
            let is_alive = stored.alive.contains(&device.session_id);
            assert_eq!(is_alive, !is_ended, "{how}: {} in the store", device.session_id);
        }
        ended.push((device, is_ended));
    }
    let are_ended: Vec<_> = ended.iter().take(act.victims.len()).map(|(_, ended)| *ended).collect();
    let all = are_ended.iter().all(|ended| *ended);
    assert!(all || !are_ended.contains(&true), "{how}: some have ended: {are_ended:?}");
    assert!(all || !is_answered, "{how}: answered, and they are signed in");
    for device in &act.spared {
        let is_ended = ended.iter().any(|(other, ended)| other.session_id == device.session_id && *ended);
        assert!(!is_ended, "{how}: somebody is signed out who was not meant");
    }

    let records = audit_of(app, act).await;
    for (device, is_ended) in &ended {
        let of_it = |record: &&Value| {
            record["event"] == "session_ended" && record["session"] == device.session_id.as_str()
        };
        let count = records.iter().filter(of_it).count();
        assert_eq!(count, usize::from(*is_ended), "{how}: records of {}: {records:#?}", device.session_id);
        if let Some(stored) = stored {
            assert_eq!(
                stored.journal.ends(device),
                usize::from(*is_ended),
                "{how}: entries of {}",
                device.session_id
            );
        }
    }
    let Some(is_applied) = act.is_applied(app).await else { return all && !act.victims.is_empty() };
    assert!(is_applied || !is_answered, "{how}: answered, and not done");
    assert!(act.victims.is_empty() || all == is_applied, "{how}: ended {all}, changed {is_applied}");
    let told = records.iter().filter(|record| record["event"] == act.kind.record().unwrap()).count();
    let most = if act.kind.creates() || act.kind.record() == Some("user_deleted") { 1 } else { *tries };
    assert!(
        (usize::from(is_applied)..=most).contains(&told),
        "{how}: told of {told} times of {tries}: {records:#?}"
    );
    assert!(is_applied || told == 0, "{how}: told of what was not done");
    is_applied
}
