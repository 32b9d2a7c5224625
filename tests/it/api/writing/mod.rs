//! Every use case that writes, cut off from its store at each of its writes, killed there, and repeated: what was answered
//! holds on every node and is on record, and what was not is done as a whole or not at all.

mod acts;
mod call;
mod cluster;
mod cuts;
mod everyone;
mod kills;
mod look;
mod resets;
mod table;

use relatch_testkit::cutter::{Cutter, CutterProxy};
use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::{Device, Node, On, TestApp};
use tempfile::TempDir;

/// Two nodes on one store, the second one behind a proxy that cuts.
struct Stage {
    app: TestApp,
    /// The node that is cut off.
    cut_off: Node,
    cutter: Cutter,
    /// Somebody whom nothing of all this concerns.
    bystander: Device,
    redis: RedisServer,
    sockets: TempDir,
}

/// Settings for users of at most two sessions, whose tokens may be repeated at no time.
fn on(on: On) -> On {
    on.set("rate_limit.enabled", "false")
        .set("sessions.max_per_user", "2")
        .set("refresh_token.grace", "0s")
        .set("registration.enabled", "true")
}

/// The path of one more socket.
fn socket_in(sockets: &TempDir) -> String {
    let taken = std::fs::read_dir(sockets.path()).unwrap().count();
    sockets.path().join(format!("{taken}.sock")).display().to_string()
}

impl Stage {
    async fn set() -> Self {
        Self::set_on(|on| on).await
    }

    async fn set_on(more: impl FnOnce(On) -> On) -> Self {
        let (redis, sockets) = (RedisServer::start().await, TempDir::new().unwrap());
        let app = more(on(On::store_at(redis.url()))).set("admin.socket", &socket_in(&sockets)).start().await;
        let proxy = CutterProxy::to(redis.address()).await;
        let cut_off = app
            .second_node_with(&[("store.url", &proxy.url()), ("admin.socket", &socket_in(&sockets))])
            .await;
        cut_off.until_ready().await;
        proxy.cutter.learn_background().await;
        app.user("zoe").await;
        let bystander = app.sign_in("zoe").await;
        Self { app, cut_off, cutter: proxy.cutter, bystander, redis, sockets }
    }

    /// A node that has seen nothing of all this.
    async fn later(&self) -> Node {
        let node = self.app.second_node_with(&[("admin.socket", &socket_in(&self.sockets))]).await;
        node.until_ready().await;
        node
    }

    /// What its log holds, and how many operations are open.
    fn journal(&self) -> look::Journal {
        look::Journal::of(&self.redis)
    }
}
