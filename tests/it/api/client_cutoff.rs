//! `POST /admin/revoke {"client_id": …}`: all sessions of a client end, by one value that holds at once.

use std::time::{Duration, Instant};

use relatch::ambient::Clock;
use relatch_domain::UnixMillis;
use relatch_testkit::{Answer, Device, Node, On, PASSWORD, TestApp};
use serde_json::{Value, json};

/// How long a test waits for what must come in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// Revokes the client, and gives the cutoff.
async fn revoke(admin: &Device) -> String {
    let body = json!({"client_id": "relatch", "reason": "a leak in the app"});
    let answer = admin.post("/admin/revoke", &body).await.expect(202).json();
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    answer["cutoff"].as_str().unwrap().to_owned()
}

#[track_caller]
fn is_revoked(answer: Answer) {
    assert_eq!(answer.problem(401, "session_revoked")["reason"], "revoked_by_admin");
}

/// The latest audit records of an event.
async fn audited(app: &TestApp, event: &str) -> Vec<Value> {
    let admin = app.sign_in("admin").await;
    let page = admin.get(&format!("/admin/audit?event={event}")).await.ok();
    page["items"].as_array().unwrap().clone()
}

async fn sign_in_on(node: &Node, name: &str) -> Device {
    let request = node.post("/login").json(&json!({"username": name, "password": PASSWORD}));
    Device::signed_in(node, &node.send(request).await.ok())
}

on_both_stores! {
    async fn all_its_sessions_are_over_at_once_for_all_users(on: On) {
        let app = on.start().await;
        let mut devices = Vec::new();
        for n in 0..70 {
            let name = format!("user{n}");
            app.user(&name).await;
            devices.push(app.sign_in(&name).await);
        }
        let ended_before = devices.pop().unwrap();
        ended_before.sign_out().await.expect(204);
        let admin = app.admin().await;
        let cutoff = revoke(&admin).await;
        for device in &mut devices {
            is_revoked(device.check().await);
            is_revoked(device.refresh().await);
        }
        is_revoked(admin.get("/admin/users").await);

        // Everyone signs in again, at the very same moment.
        let mut device = app.sign_in("user3").await;
        device.check().await.ok();
        device.refresh().await.ok();
        let told = audited(&app, "client_revoked").await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["details"], json!({"client_id": "relatch", "cutoff": cutoff}));
        assert_eq!(told[0]["actor"]["session"], admin.session_id);
        assert_eq!(audited(&app, "session_ended").await.len(), 1, "only the sign-out is told by itself");
    }

    async fn the_sweep_leaves_tombstones_with_the_reason_and_the_note(on: On) {
        let app = on.with_clock().start().await;
        let id = app.user("ada").await;
        let device = app.sign_in("ada").await;
        revoke(&app.admin().await).await;
        app.clock().advance_secs(1);
        let admin = app.sign_in("admin").await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = admin.get("/admin/stats").await.ok();
            assert_eq!(stats["cutoff"], json!(null), "that of everyone");
            if stats["node"]["sessions_ended"]["revoked_by_admin"] == 2 {
                break;
            }
            assert!(Instant::now() < deadline, "nothing was swept: {stats}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let timeline = admin.get(&format!("/admin/users/{id}/timeline")).await.ok();
        let end = &timeline["items"][0];
        assert_eq!((&end["event"], &end["reason"]), (&json!("ended"), &json!("revoked_by_admin")), "{timeline}");
        assert!(end.to_string().contains("a leak in the app"), "{end}");
        is_revoked(device.check().await);
    }

    /// Whoever signs in within the very millisecond is not taken for one from before.
    async fn who_signs_in_afterwards_is_signed_in_even_if_the_clock_stands_still_or_goes_back(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        revoke(&app.admin().await).await;
        let mut same_moment = app.sign_in("ada").await;
        app.clock().set(UnixMillis(app.clock().now().0 - 3_600_000));
        let mut earlier_clock = app.sign_in("ada").await;
        for device in [&mut same_moment, &mut earlier_clock] {
            device.check().await.ok();
            device.get("/auth/check?live=true").await.ok();
            device.refresh().await.ok();
        }
        // Again, and those are over too.
        revoke(&app.sign_in("admin").await).await;
        for device in [&mut same_moment, &mut earlier_clock] {
            is_revoked(device.check().await);
            is_revoked(device.refresh().await);
        }
    }

    async fn a_cutoff_of_everyone_beside_it_keeps_its_own_reason(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        revoke(&app.admin().await).await;
        app.clock().advance_secs(5);
        let mut device = app.sign_in("ada").await;
        app.clock().advance_secs(5);
        let now = app.clock().rfc3339(0);
        let admin = app.sign_in("admin").await;
        admin.post("/admin/revoke", &json!({"signed_in_before": now})).await.expect(202);
        assert_eq!(device.refresh().await.problem(401, "session_revoked")["reason"], "signed_in_before");
    }
}

/// In force on every node within a second, on refreshes and on checks that ask no store.
#[tokio::test]
async fn another_node_hears_of_it_within_a_second() {
    let app = On::redis().with_clock().start().await;
    let node = app.second_node().await;
    app.user("ada").await;
    let mut old = sign_in_on(&node, "ada").await;
    old.check().await.ok();
    revoke(&app.admin().await).await;
    let started = Instant::now();
    let refused = loop {
        let answer = old.check().await;
        if answer.status == 401 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(1), "not in force after a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    is_revoked(refused);
    is_revoked(old.refresh().await);
    sign_in_on(&node, "ada").await.check().await.ok();
}

/// A failover to a replica that has not heard of it, as if: the key is gone. A node that starts then knows of it.
#[tokio::test]
async fn a_store_that_has_lost_it_gets_it_back() {
    let mut app = On::redis().with_clock().start().await;
    app.user("ada").await;
    let mut old = app.sign_in("ada").await;
    revoke(&app.admin().await).await;
    let stored = app.redis().say("HGET relatch:{journal}:cutoffs c0");
    assert_eq!(app.redis().say("DEL relatch:{journal}:cutoffs"), ":1");
    let deadline = Instant::now() + Duration::from_secs(1);
    while app.redis().say("HGET relatch:{journal}:cutoffs c0") != stored {
        assert!(Instant::now() < deadline, "the cutoff does not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    old.node = app.second_node().await;
    is_revoked(old.check().await);
    is_revoked(old.refresh().await);
}
