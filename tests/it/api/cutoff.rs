//! `POST /admin/revoke {"signed_in_before": …}`: everyone who signed in before a point in time is signed out.

use std::time::{Duration, Instant};

use relatch::rfc3339;
use relatch_testkit::{Answer, Device, Node, On, PASSWORD, TestApp};
use serde_json::{Value, json};

/// How long a test waits for what must come in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the store has of it.
const STORED: &str = "HGET relatch:{journal}:cutoffs everyone";

/// Signs out everyone who signed in before the clock's present second.
async fn cut_off(app: &TestApp) -> String {
    let now = app.clock().rfc3339(0);
    let admin = app.sign_in("admin").await;
    let answer = admin.post("/admin/revoke", &json!({"signed_in_before": now})).await.expect(202);
    assert_eq!(answer.json(), json!({"cutoff": now}));
    now
}

#[track_caller]
fn is_cut_off(answer: Answer) {
    assert_eq!(answer.problem(401, "session_revoked")["reason"], "signed_in_before");
}

async fn stats(app: &TestApp) -> Value {
    app.sign_in("admin").await.get("/admin/stats").await.ok()
}

/// Signs in on another node.
async fn sign_in_on(node: &Node, name: &str) -> Device {
    let request = node.post("/login").json(&json!({"username": name, "password": PASSWORD}));
    Device::signed_in(node, &node.send(request).await.ok())
}

on_both_stores! {
    async fn everyone_from_before_is_signed_out_and_signs_in_again(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let admin = app.admin().await;
        let mut old = app.sign_in("ada").await;
        app.clock().advance_secs(10);
        let mut same_second = app.sign_in("ada").await;
        cut_off(&app).await;

        is_cut_off(old.check().await);
        is_cut_off(old.get("/auth/check?live=true").await);
        is_cut_off(old.get("/sessions").await);
        is_cut_off(old.refresh().await);
        is_cut_off(admin.get("/admin/users").await);
        // Before means before: this one signed in at that very second.
        same_second.refresh().await.ok();

        let mut new = app.sign_in("ada").await;
        new.check().await.ok();
        new.refresh().await.ok();
        let listed = new.get("/sessions").await.ok();
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| &item["session_id"]).collect();
        assert_eq!(ids.len(), 2, "{listed}");
        assert!(!ids.contains(&&json!(old.session_id)));
        let path = format!("/admin/users/{}/sessions", new.user_id);
        let shown = app.sign_in("admin").await.get(&path).await.ok();
        assert!(shown["items"].as_array().unwrap().iter().all(|item| item["session_id"] != old.session_id), "{shown}");
        assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    }

    async fn a_session_from_before_may_still_sign_out(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let old = app.sign_in("ada").await;
        app.clock().advance_secs(10);
        cut_off(&app).await;
        let request = app.node.post("/logout").bearer_auth(&old.pair.access);
        app.node.send(request).await.expect(204);
        old.sign_out().await.expect(204);
    }

    async fn the_cutoff_never_goes_back_and_says_where_it_stands(on: On) {
        let app = on.with_clock().start().await;
        assert_eq!(stats(&app).await["cutoff"], json!(null));
        app.clock().advance_secs(10);
        let stands = cut_off(&app).await;
        let admin = app.sign_in("admin").await;
        let earlier = json!({"signed_in_before": app.clock().rfc3339(-5)});
        let answer = admin.post("/admin/revoke", &earlier).await.expect(202);
        assert_eq!(answer.json()["cutoff"], stands);
        assert_eq!(stats(&app).await["cutoff"], stands);
    }

    async fn a_fraction_is_taken_exactly_a_finer_one_rounded_up_and_any_offset_is_read(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        for (text, cutoff) in [
            ("2020-02-29T12:00:00.000Z", "2020-02-29T12:00:00Z"),
            ("2020-02-29T14:30:00.5+02:30", "2020-02-29T12:00:00.500Z"),
            ("2020-02-29T12:00:00.999Z", "2020-02-29T12:00:00.999Z"),
            ("2020-02-29T12:00:01.0000001Z", "2020-02-29T12:00:01.001Z"),
            ("2020-02-29T12:00:01.9991Z", "2020-02-29T12:00:02Z"),
            ("2020-03-01T00:00:00-00:00", "2020-03-01T00:00:00Z"),
        ] {
            let answer = admin.post("/admin/revoke", &json!({"signed_in_before": text})).await.expect(202);
            assert_eq!(answer.json(), json!({"cutoff": cutoff}), "{text}");
        }
    }

    async fn what_is_no_time_or_lies_in_the_future_is_refused(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        let (in_a_second, in_a_millisecond) =
            (app.clock().rfc3339(1), rfc3339::millis(app.now().plus(Duration::from_millis(1))));
        let just_now = rfc3339::millis(app.now()).replace('Z', "0001Z");
        let wrong = [
            in_a_second.as_str(), in_a_millisecond.as_str(), just_now.as_str(), "2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "now", "",
            "2020-02-30T00:00:00Z", "2020-02-29", "2020-02-29T12:00:00", "1582934400",
        ];
        for text in wrong {
            let answer = admin.post("/admin/revoke", &json!({"signed_in_before": text})).await;
            let problem = answer.problem(400, "invalid_request");
            assert_eq!(problem["fields"][0]["field"], "signed_in_before", "{text:?}");
        }
        for body in [json!({"signed_in_before": 7}), json!({"signed_in_before": {}})] {
            admin.post("/admin/revoke", &body).await.problem(400, "invalid_request");
        }
        admin.get("/admin/users").await.ok();
        assert_eq!(stats(&app).await["cutoff"], json!(null));
    }

    /// More users than one page of the sweep has.
    async fn the_sweep_ends_the_sessions_of_all_users(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        for n in 0..70 {
            let name = format!("user{n}");
            app.user(&name).await;
            app.sign_in(&name).await;
        }
        app.clock().advance_secs(10);
        let stays = app.sign_in("user3").await;
        cut_off(&app).await;
        let deadline = Instant::now() + PATIENCE;
        let swept = loop {
            let swept = stats(&app).await["node"]["sessions_ended"]["signed_in_before"].as_u64().unwrap();
            if swept > 0 {
                break swept;
            }
            assert!(Instant::now() < deadline, "nothing was swept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(swept, 71, "70 users and the administrator");
        stays.get("/sessions").await.ok();
        is_cut_off(admin.get("/admin/users").await);
    }
}

/// In force on every node within a second, on refreshes and on checks that ask no store.
#[tokio::test]
async fn another_node_hears_of_it_within_a_second() {
    let app = On::redis().with_clock().start().await;
    let node = app.second_node().await;
    app.user("ada").await;
    let mut old = sign_in_on(&node, "ada").await;
    app.clock().advance_secs(10);
    old.check().await.ok();
    cut_off(&app).await;
    let started = Instant::now();
    let refused = loop {
        let answer = old.check().await;
        if answer.status == 401 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(1), "not in force after a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("in force on the other node after {:?}", started.elapsed());
    is_cut_off(refused);
    is_cut_off(old.refresh().await);
    sign_in_on(&node, "ada").await.check().await.ok();
}

#[tokio::test]
async fn a_node_that_starts_later_knows_it_from_the_start() {
    let app = On::redis().with_clock().start().await;
    app.user("ada").await;
    let mut old = app.sign_in("ada").await;
    app.clock().advance_secs(10);
    cut_off(&app).await;
    old.node = app.second_node().await;
    is_cut_off(old.check().await);
    is_cut_off(old.refresh().await);
}

/// A failover to a replica that has not heard of it, as if: the key is gone.
#[tokio::test]
async fn a_store_that_has_lost_the_cutoff_gets_it_back() {
    let mut app = On::redis().with_clock().start().await;
    app.user("ada").await;
    let mut old = app.sign_in("ada").await;
    app.clock().advance_secs(10);
    cut_off(&app).await;
    let stored = app.redis().say(STORED);
    assert_eq!(app.redis().say("DEL relatch:{journal}:cutoffs"), ":1");
    is_cut_off(old.refresh().await);
    let deadline = Instant::now() + Duration::from_secs(1);
    while app.redis().say(STORED) != stored {
        assert!(Instant::now() < deadline, "the cutoff does not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    is_cut_off(old.refresh().await);
}

#[tokio::test]
async fn a_store_that_is_away_is_no_reason_to_forget_it() {
    let mut app = On::redis().with_clock().start().await;
    app.user("ada").await;
    let old = app.sign_in("ada").await;
    app.clock().advance_secs(10);
    cut_off(&app).await;
    let new = app.sign_in("ada").await;
    app.redis().kill();
    is_cut_off(old.check().await);
    new.check().await.ok();
    // Long enough for some looks in vain.
    tokio::time::sleep(Duration::from_secs(1)).await;
    is_cut_off(old.check().await);
    new.check().await.ok();
}

/// Too few replicas have heard of it: in force, but whoever asked is told to repeat.
#[tokio::test]
async fn a_cutoff_that_may_not_survive_is_in_force_and_answered_503() {
    let app = On::redis().with_clock().start().await;
    let node = app.second_node_with(&[("store.sync_replicas", "1")]).await;
    app.user("ada").await;
    let mut old = sign_in_on(&node, "ada").await;
    app.clock().advance_secs(10);
    let now = app.clock().rfc3339(0);
    let admin = sign_in_on(&node, "admin").await;
    let answer = admin.post("/admin/revoke", &json!({"signed_in_before": now})).await;
    let problem = answer.problem(503, "temporarily_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("carried out"), "{problem}");
    is_cut_off(old.check().await);
    is_cut_off(old.refresh().await);
}
