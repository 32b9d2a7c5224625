//! Revocations reach every node, and are not lost with the store's last writes.

use std::time::{Duration, Instant};

use relatch_testkit::app::another_master_key;
use relatch_testkit::{Device, KEY, On, TestApp};
use serde_json::{Value, json};

use super::rollback::{fall_back, keep};

/// How long a revocation may take to a node that verifies by itself.
const SOON: Duration = Duration::from_secs(1);

/// Checks until the check is refused, for at most so long. Gives the reason.
async fn refused_within(device: &Device, limit: Duration) -> Value {
    let begun = Instant::now();
    loop {
        let answer = device.check().await;
        if answer.status != 200 {
            return answer.problem(401, "session_revoked")["reason"].clone();
        }
        assert!(begun.elapsed() < limit, "still let in after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Signed in and known on the second node.
async fn on_the_second_node(app: &TestApp) -> Device {
    let mut device = app.sign_in("ada").await;
    device.node = app.second_node().await;
    device.check().await.ok();
    device
}

#[tokio::test]
async fn whatever_ends_a_session_is_known_to_the_other_node_within_a_second() {
    let app = On::redis().start().await;
    let id = app.user("ada").await;
    let admin = app.admin().await;
    let device = on_the_second_node(&app).await;
    let node = device.node.clone();

    let at_home = Device { node: app.node.clone(), ..device.clone() };
    at_home.sign_out().await.expect(204);
    assert_eq!(refused_within(&device, SOON).await, "signed_out");

    let sign_in = async || Device { node: node.clone(), ..app.sign_in("ada").await };
    let device = sign_in().await;
    admin.post("/admin/revoke", &json!({"session_id": device.session_id})).await.ok();
    assert_eq!(refused_within(&device, SOON).await, "revoked_by_admin");

    let device = sign_in().await;
    admin.post("/admin/revoke", &json!({"client_id": "relatch"})).await.expect(202);
    assert_eq!(refused_within(&device, SOON).await, "revoked_by_admin");
    let admin = app.sign_in("admin").await;

    let mut stolen = sign_in().await;
    let device = stolen.clone();
    stolen.refresh_as(Some(KEY)).await.ok();
    stolen.refresh_as(None).await.ok();
    Device { node: app.node.clone(), ..device.clone() }.refresh().await.problem(401, "refresh_token_reused");
    assert_eq!(refused_within(&device, SOON).await, "reuse");

    let device = sign_in().await;
    admin.patch(&format!("/admin/users/{id}"), &json!({"disabled": true})).await.ok();
    assert_eq!(refused_within(&device, SOON).await, "user_disabled");
    admin.patch(&format!("/admin/users/{id}"), &json!({"disabled": false})).await.ok();

    let device = sign_in().await;
    admin.delete(&format!("/admin/users/{id}")).await.expect(204);
    assert_eq!(refused_within(&device, SOON).await, Value::Null);
}

#[tokio::test]
async fn a_node_that_starts_later_has_heard_of_it() {
    let app = On::redis().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    device.sign_out().await.expect(204);
    device.node = app.second_node().await;
    assert_eq!(device.check().await.problem(401, "session_revoked")["reason"], "signed_out");
}

#[tokio::test]
async fn a_store_that_lost_a_revocation_is_not_believed_and_gets_it_again() {
    let mut app = On::redis().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    let node = app.second_node().await;
    keep(&mut app, &device);
    device.sign_out().await.expect(204);
    let there = Device { node, ..device.clone() };
    refused_within(&there, SOON).await;
    fall_back(&mut app, &device);

    for asked in [&device, &there] {
        let told = asked.get("/sessions").await.problem(401, "session_revoked");
        assert_eq!(told["reason"], "signed_out");
    }
    device.refresh().await.problem(401, "session_revoked");
    // It stands in the store again: a node that has heard of nothing refuses as well.
    let feed = "relatch:{journal}:log";
    assert_eq!(app.redis().say(&format!("DEL {feed}")), ":1");
    let unknowing = Device { node: app.second_node().await, ..device.clone() };
    unknowing.check().await.ok();
    unknowing.get("/sessions").await.problem(401, "session_revoked");
}

#[tokio::test]
async fn a_deleted_user_does_not_come_back() {
    let mut app = On::redis().start().await;
    let id = app.user("ada").await;
    let device = app.sign_in("ada").await;
    let user = format!("relatch:{{{id}}}:u");
    keep(&mut app, &device);
    assert_eq!(app.redis().say(&format!("COPY {user} {user}:kept")), ":1");
    app.admin().await.delete(&format!("/admin/users/{id}")).await.expect(204);
    fall_back(&mut app, &device);
    assert_eq!(app.redis().say(&format!("COPY {user}:kept {user} REPLACE")), ":1");

    device.get("/sessions").await.problem(401, "session_revoked");
    device.send_refresh(None).await.problem(401, "session_revoked");
    assert_eq!(app.redis().say(&format!("HEXISTS {user} name")), ":0");
}

/// Nothing can be added to the log of revocations.
#[tokio::test]
async fn what_cannot_be_announced_is_not_done_and_not_acknowledged() {
    let mut app = On::redis().start().await;
    app.user("ada").await;
    let device = on_the_second_node(&app).await;
    let admin = app.admin().await;
    assert_eq!(app.redis().say("ACL SETUSER default -xadd"), "+OK");
    let revoke = async || admin.post("/admin/revoke", &json!({"session_id": device.session_id})).await;
    for _ in 0..2 {
        revoke().await.problem(503, "temporarily_unavailable");
        device.sign_out().await.problem(503, "temporarily_unavailable");
    }
    device.get("/sessions").await.ok();
    device.check().await.ok();

    assert_eq!(app.redis().say("ACL SETUSER default +xadd"), "+OK");
    assert_eq!(revoke().await.ok(), json!({"revoked_sessions": 1}));
    assert_eq!(refused_within(&device, SOON).await, "revoked_by_admin");
}

/// Somebody else's words in the feed do not stop a node.
#[tokio::test]
async fn what_a_node_cannot_read_in_the_feed_it_leaves_out() {
    let mut app = On::redis().start().await;
    app.user("ada").await;
    let device = on_the_second_node(&app).await;
    for word in ["tenant 7", "session", "session x y", "cutoff -1", "client 7", "client relatch 7"] {
        let added = app.redis().say(&format!("XADD relatch:{{journal}}:log * r \"{word}\""));
        assert!(!added.starts_with('-'), "{added}");
    }
    Device { node: app.node.clone(), ..device.clone() }.sign_out().await.expect(204);
    assert_eq!(refused_within(&device, SOON).await, "signed_out");
    let other = app.failing_node_with(&[("master_key", &another_master_key())]).await;
    assert!(other.contains("master_key"), "{other}");
}
