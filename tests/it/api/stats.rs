//! `GET /admin/stats`.

use futures_util::future::join_all;
use relatch_testkit::{On, PASSWORD};
use serde_json::{Value, json};

/// The counts that are not zero.
fn nonzero(counts: &Value) -> Value {
    let counts = counts.as_object().unwrap().iter().filter(|(_, count)| **count != json!(0));
    Value::Object(counts.map(|(name, count)| (name.clone(), count.clone())).collect())
}

on_both_stores! {
    async fn it_tells_how_things_stand_and_what_the_node_has_seen(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        ada.refresh().await.ok();
        ada.refresh().await.ok();
        app.login("ada", "wrong").await.problem(401, "invalid_credentials");
        app.login("nobody", "wrong").await.problem(401, "invalid_credentials");
        ada.sign_out().await.expect(204);
        ada.refresh().await.problem(401, "session_revoked");
        let started_at = app.clock().rfc3339(0);
        app.clock().advance_secs(7);

        let stats = admin.get("/admin/stats").await.ok();
        assert_eq!(stats["users"], 2);
        assert_eq!(stats["keys"], json!({"next": 1, "active": 1, "retired": 0, "revoked": 0}));
        assert_eq!(stats["cutoff"], json!(null));
        assert_eq!(stats["store"]["reachable"], true);
        let node = &stats["node"];
        assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(node["started_at"], started_at);
        assert_eq!(node["uptime_seconds"], 7);
        assert_eq!((&node["sign_ins"], &node["refused_sign_ins"]), (&json!(2), &json!(2)));
        assert_eq!(nonzero(&node["refreshes"]), json!({"rotate": 2, "revoked": 1}));
        assert_eq!(nonzero(&node["sessions_ended"]), json!({"signed_out": 1}));
        assert_eq!(node["refreshes"]["reuse"], 0, "what never happened is there as well");
    }

    async fn each_session_that_ended_is_counted_once(on: On) {
        let app = on.with_clock().set("sessions.max_per_user", "2").start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        // Two of five take the place of others, one of them because its browser signs in anew.
        for _ in 0..3 {
            app.sign_in("ada").await;
        }
        let mut browser = app.browse("ada", "hybrid").await;
        browser.sign_in("ada", "hybrid").await.expect(200);
        app.post_json("/login", &json!({"username": "admin", "password": PASSWORD})).await.ok();
        admin.post("/admin/revoke", &json!({"username": "ada"})).await.ok();

        let mut robbed = app.sign_in("ada").await;
        let old = robbed.clone();
        robbed.refresh().await.ok();
        app.clock().advance_secs(60);
        for answer in join_all((0..6).map(|_| old.send_refresh(None))).await {
            assert_eq!(answer.status, 401);
        }
        let node = admin.get("/admin/stats").await.ok()["node"].clone();
        assert_eq!(nonzero(&node["sessions_ended"]), json!({"replaced": 3, "revoked_by_admin": 2, "reuse": 1}));
        let refused = node["refreshes"]["reuse"].as_u64().unwrap() + node["refreshes"]["revoked"].as_u64().unwrap();
        assert_eq!(refused, 6);
    }

    async fn it_takes_no_parameters_and_is_for_administrators(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        admin.get("/admin/stats?x=1").await.problem(400, "invalid_request");
        admin.post("/admin/stats", &json!({})).await.problem(405, "method_not_allowed");
        app.user("ada").await;
        app.sign_in("ada").await.get("/admin/stats").await.problem(403, "insufficient_scope");
        app.node.send(app.node.get("/admin/stats")).await.problem(401, "authentication_required");
    }
}

#[tokio::test]
async fn it_names_the_store_and_every_node_counts_for_itself() {
    let app = On::embedded().start().await;
    assert_eq!(app.admin().await.get("/admin/stats").await.ok()["store"]["kind"], "embedded");

    let app = On::redis().start().await;
    let mut admin = app.admin().await;
    assert_eq!(admin.get("/admin/stats").await.ok()["store"]["kind"], "redis");
    admin.node = app.second_node().await;
    let stats = admin.get("/admin/stats").await.ok();
    assert_eq!((&stats["users"], &stats["node"]["sign_ins"]), (&json!(1), &json!(0)));
}
