//! Each use case, its node cut off from the store at each of its writes and killed: another node finishes it or drops it. And
//! a node with a store of its own, killed while it is at work.

use std::time::Duration;

use relatch_testkit::cutter::{CutterProxy, Fate, Lasts};
use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::{Node, On, TestApp};
use tempfile::TempDir;

use super::acts::{CHANGES, ENDS, Kind};
use super::cuts::{Then, follow_up, look_at_all};
use super::look::{Journal, Outcome, Stored, until_closed};
use super::{on, socket_in};

/// At least as many as the use case writes that writes most.
const WRITES: usize = 6;
/// What is tried on a store without other nodes.
pub(super) const EMBEDDED: [Kind; 7] = [
    Kind::SignOut,
    Kind::RevokeUser,
    Kind::Disable,
    Kind::Delete,
    Kind::ChangePassword,
    Kind::SignInBeyond,
    Kind::Create,
];
const MOMENTS: usize = 6;

/// Nodes that are killed, one after the other, and one that stays.
struct Killing {
    redis: RedisServer,
    staying: TestApp,
    proxy: CutterProxy,
    sockets: TempDir,
}

impl Killing {
    /// Sends a request of each kind to a node that is cut off at its n-th write, and kills the node while the last one is
    /// under way.
    async fn at(&self, nth: usize) -> Vec<Outcome> {
        let on = on(On::store_at(self.proxy.url())).set("admin.socket", &socket_in(&self.sockets));
        let dying = on.in_own_process().start().await;
        let node = dying.node.clone();
        self.proxy.cutter.learn_background().await;
        let kinds: Vec<_> = ENDS.into_iter().chain(CHANGES).collect();
        let mut acts = Vec::new();
        for kind in &kinds {
            acts.push(kind.prepare(&self.staying, &format!("{kind:?}-{nth}").to_lowercase()).await);
        }
        // Each of them is under way when its node dies, one after the other: the last one holds the connection.
        let last = (nth - 1) % acts.len();
        acts.swap_remove(last);
        let held = kinds[last].prepare(&self.staying, &format!("held-{nth}")).await;
        let mut answers = Vec::new();
        for act in &acts {
            self.proxy.cutter.arm(nth, Fate::Before, Lasts::Onwards);
            answers.push(act.call.send(&node).await);
            self.proxy.cutter.disarm();
        }
        self.proxy.cutter.arm(nth, Fate::Held, Lasts::Onwards);
        let (call, there) = (held.call.clone(), node.clone());
        let mut request = tokio::spawn(async move { call.try_send(&there).await });
        let answered = tokio::select! {
            answer = &mut request => answer.unwrap(),
            () = self.proxy.cutter.until_met() => None,
        };
        tokio::task::block_in_place(|| drop(dying));
        self.proxy.cutter.disarm();
        let answers = answers.into_iter().map(Some).chain([answered]);
        acts.push(held);
        let staying = &self.staying.node;
        let mut outcomes = Vec::new();
        for (round, (act, answer)) in acts.into_iter().zip(answers).enumerate() {
            // The node that would be asked again is gone.
            let then = if (round + nth).is_multiple_of(2) { Then::RepeatsElsewhere } else { Then::GivesUp };
            let status = answer.as_ref().map(|answer| answer.status);
            let how = format!("{:?} killed at {nth}, {then:?}; {status:?}", act.kind);
            outcomes.push(follow_up(act, answer, then, [staying, staying], how).await);
        }
        outcomes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_leaves_behind_another_one_finishes_or_drops() {
    let (redis, sockets) = (RedisServer::start().await, TempDir::new().unwrap());
    let staying = on(On::store_at(redis.url())).set("admin.socket", &socket_in(&sockets)).start().await;
    let proxy = CutterProxy::to(redis.address()).await;
    let killing = Killing { redis, staying, proxy, sockets };
    let journal = || Journal::of(&killing.redis);
    let mut outcomes = Vec::new();
    for nth in 1..=WRITES {
        outcomes.extend(killing.at(nth).await);
    }
    until_closed(journal).await;
    let stored = Stored::of(&[&killing.redis], &outcomes);
    let socket = socket_in(&killing.sockets);
    let later = killing.staying.second_node_with(&[("admin.socket", &socket)]).await;
    later.until_ready().await;
    look_at_all(&killing.staying, &[&killing.staying.node, &later], Some(&stored), &outcomes).await;
    assert!(outcomes.iter().any(|outcome| !outcome.is_answered));
}

/// The moments are spread over the time that the request takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_store_of_its_own_that_is_killed_has_done_it_or_not() {
    let mut app = on(On::embedded()).in_own_process().start().await;
    let mut outcomes = Vec::new();
    for moment in 0..MOMENTS {
        let mut acts = Vec::new();
        for kind in EMBEDDED {
            acts.push(kind.prepare(&app, &format!("{kind:?}-{moment}").to_lowercase()).await);
        }
        let send = |act: &super::acts::Act, node: Node| {
            let call = act.call.clone();
            tokio::spawn(async move { call.try_send(&node).await })
        };
        let requests: Vec<_> = acts.iter().map(|act| send(act, app.node.clone())).collect();
        tokio::time::sleep(Duration::from_millis(2 + 7 * u64::try_from(moment).unwrap())).await;
        app.while_stopped(|_| ()).await;
        for (round, (act, request)) in acts.into_iter().zip(requests).enumerate() {
            let answer = request.await.unwrap();
            let then =
                if (round + moment).is_multiple_of(2) { Then::RepeatsElsewhere } else { Then::GivesUp };
            let status = answer.as_ref().map(|answer| answer.status);
            let how = format!("{:?} killed in moment {moment}, {then:?}; {status:?}", act.kind);
            outcomes.push(follow_up(act, answer, then, [&app.node, &app.node], how).await);
        }
    }
    // There is no other way to see whether the node has finished what it found open, which it does after a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for outcome in &mut outcomes {
        for device in
            outcome.act.victims.iter_mut().chain(&mut outcome.act.spared).chain(&mut outcome.act.others)
        {
            device.node = app.node.clone();
        }
    }
    look_at_all(&app, &[&app.node], None, &outcomes).await;
}
