//! Clocks: a store's clock that has gone back, fractions of a second, and lifetimes that were lowered.

use std::time::Duration;

use relatch::ambient::Clock;
use relatch_domain::UnixMillis;
use relatch_testkit::{Answer, Device, TestApp};
use serde_json::json;

const HOUR: u64 = 3600;

/// Sets the clock to a whole second, and gives it.
fn on_the_second(app: &TestApp) -> UnixMillis {
    let second = UnixMillis((app.clock().now().0 / 1000 + 1) * 1000);
    app.clock().set(second);
    second
}

fn go_back(app: &TestApp, seconds: u64) {
    app.clock().set(UnixMillis(app.clock().now().0 - seconds * 1000));
}

/// Seconds that the answer promises the refresh token.
#[track_caller]
fn promised(answer: Answer) -> u64 {
    answer.ok()["refresh_expires_in"].as_u64().unwrap()
}

async fn wrong(app: &TestApp) -> Answer {
    app.login("ada", "not the right one").await
}

/// The session ids that an administrator sees of somebody.
async fn listed(app: &TestApp, user: &str) -> Vec<String> {
    let admin = app.sign_in("admin").await;
    let shown = admin.get(&format!("/admin/users/{user}/sessions")).await.ok();
    let items = shown["items"].as_array().unwrap();
    items.iter().map(|item| item["session_id"].as_str().unwrap().to_owned()).collect()
}

/// Everything that asks whether a session is alive.
async fn is_alive_everywhere(device: &mut Device) {
    device.check().await.ok();
    device.get("/auth/check?live=true").await.ok();
    let shown = device.get("/sessions").await.ok();
    let items = shown["items"].as_array().unwrap();
    assert!(items.iter().any(|item| item["session_id"] == device.session_id), "{shown}");
    device.refresh().await.ok();
}

on_both_stores! {
    async fn a_failure_by_a_clock_ahead_is_as_if_it_were_of_now(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        app.clock().advance_secs(6 * HOUR);
        wrong(&app).await.problem(401, "invalid_credentials");
        go_back(&app, 6 * HOUR);
        app.sign_in("ada").await;
    }

    async fn who_has_to_wait_by_a_clock_ahead_waits_no_longer_than_anybody(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        app.clock().advance_secs(6 * HOUR);
        for _ in 0..10 {
            wrong(&app).await.problem(401, "invalid_credentials");
        }
        go_back(&app, 6 * HOUR);
        let answer = wrong(&app).await;
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait <= 15 * 60, "{wait} s");
        answer.problem(429, "too_many_attempts");
        // The wait passes, though the clock is behind still.
        app.clock().advance_secs(wait);
        app.sign_in("ada").await;
    }

    async fn a_session_that_has_spent_its_budget_by_a_clock_ahead_goes_on(on: On) {
        let on = on.set("rate_limit.session_refresh_interval", "10s").set("rate_limit.session_refresh_burst", "2");
        let app = on.with_clock().start().await;
        app.user("ada").await;
        app.clock().advance_secs(HOUR);
        let mut device = app.sign_in("ada").await;
        device.refresh().await.ok();
        device.refresh().await.ok();
        device.refresh().await.problem(429, "too_many_requests");
        go_back(&app, HOUR);
        device.refresh().await.ok();
        device.refresh().await.ok();
        device.refresh().await.problem(429, "too_many_requests");
    }

    async fn who_signs_in_while_the_clock_is_behind_a_cutoff_is_signed_in(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut old = app.sign_in("ada").await;
        app.clock().advance_secs(10);
        let admin = app.sign_in("admin").await;
        let now = app.clock().rfc3339(0);
        admin.post("/admin/revoke", &json!({"signed_in_before": now})).await.expect(202);
        go_back(&app, HOUR);
        let mut new = app.sign_in("ada").await;
        is_alive_everywhere(&mut new).await;
        old.refresh().await.problem(401, "session_revoked");
        app.clock().advance_secs(2 * HOUR);
        new.refresh().await.ok();
        is_alive_everywhere(&mut new).await;
    }

    async fn a_cutoff_compares_milliseconds_of_when_sessions_began(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let admin = app.admin().await;
        let second = on_the_second(&app);
        let at = |millis: u64| app.clock().set(UnixMillis(second.0 + millis));
        at(299);
        let mut before = app.sign_in("ada").await;
        at(300);
        let mut not_before = app.sign_in("ada").await;
        at(900);
        let admin_again = app.sign_in("admin").await;
        let cutoff = relatch::rfc3339::millis(UnixMillis(second.0 + 300));
        let answer = admin_again.post("/admin/revoke", &json!({"signed_in_before": cutoff})).await.expect(202);
        assert_eq!(answer.json(), json!({"cutoff": cutoff}));
        for path in ["/auth/check", "/auth/check?live=true", "/sessions"] {
            assert_eq!(before.get(path).await.problem(401, "session_revoked")["reason"], "signed_in_before", "{path}");
        }
        assert_eq!(before.refresh().await.problem(401, "session_revoked")["reason"], "signed_in_before");
        is_alive_everywhere(&mut not_before).await;
        assert_eq!(listed(&app, &before.user_id).await, [not_before.session_id]);
        admin.get("/admin/users").await.problem(401, "session_revoked");
    }

    async fn a_lowered_idle_lifetime_holds_for_sessions_that_are_there(on: On) {
        let mut app = on.with_clock().start().await;
        app.user("ada").await;
        let mut used = app.sign_in("ada").await;
        let mut unused = app.sign_in("ada").await;
        app.restart_with(&[("refresh_token.idle_ttl", "1h")]).await;
        (used.node, unused.node) = (app.node.clone(), app.node.clone());
        app.clock().advance_secs(HOUR / 2);
        assert_eq!(promised(used.refresh().await), HOUR);
        app.clock().advance_secs(HOUR / 2 + 1);
        unused.refresh().await.problem(401, "session_expired");
        assert_eq!(listed(&app, &used.user_id).await, [used.session_id.clone()]);
        let timeline = app.sign_in("admin").await.get(&format!("/sessions/{}/timeline", unused.session_id)).await.ok();
        assert_eq!(timeline["items"][0]["event"], "expired", "{timeline}");
        is_alive_everywhere_after_a_refresh(&mut used).await;
    }

    async fn a_lowered_absolute_lifetime_holds_for_sessions_that_are_there(on: On) {
        let mut app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        app.restart_with(&[("refresh_token.absolute_ttl", "2h"), ("refresh_token.idle_ttl", "2h")]).await;
        device.node = app.node.clone();
        app.clock().advance_secs(HOUR);
        let left = promised(device.send_refresh(None).await);
        assert!((HOUR..=HOUR + 1).contains(&left), "{left}");
        assert!((HOUR..=HOUR + 1).contains(&promised(device.refresh().await)), "the same again");
        app.clock().advance_secs(HOUR + 2);
        device.refresh().await.problem(401, "session_expired");
        assert_eq!(listed(&app, &device.user_id).await, Vec::<String>::new());
    }

    async fn raised_lifetimes_lengthen_nothing_that_is_there(on: On) {
        let on = on.set("refresh_token.idle_ttl", "1h").set("refresh_token.absolute_ttl", "3h");
        let mut app = on.with_clock().start().await;
        app.user("ada").await;
        let mut unused = app.sign_in("ada").await;
        let mut used = app.sign_in("ada").await;
        app.restart_with(&[("refresh_token.idle_ttl", "12h"), ("refresh_token.absolute_ttl", "24h")]).await;
        (used.node, unused.node) = (app.node.clone(), app.node.clone());
        app.clock().advance_secs(HOUR / 2);
        assert!(promised(used.refresh().await) <= 3 * HOUR);
        app.clock().advance_secs(HOUR / 2 + 1);
        unused.refresh().await.problem(401, "session_expired");
        app.clock().advance_secs(2 * HOUR);
        used.refresh().await.problem(401, "session_expired");
    }

    /// What has expired by a lowered lifetime takes no room, and what is ended for room is the least recently used of the live ones.
    async fn an_expired_session_by_a_lowered_lifetime_takes_no_room(on: On) {
        let mut app = on.set("sessions.max_per_user", "2").with_clock().start().await;
        app.user("ada").await;
        app.sign_in("ada").await;
        app.clock().advance_secs(HOUR);
        let mut stays = app.sign_in("ada").await;
        app.restart_with(&[("refresh_token.idle_ttl", "1h"), ("sessions.max_per_user", "2")]).await;
        stays.node = app.node.clone();
        app.clock().advance_secs(HOUR / 2);
        app.sign_in("ada").await;
        stays.refresh().await.ok();
        let shown = app.sign_in("admin").await.get("/admin/audit?event=session_ended").await.ok();
        assert_eq!(shown["items"], json!([]), "nobody was replaced");
    }

    async fn a_clock_that_goes_back_takes_nothing_from_a_session(on: On) {
        let app = on.set("refresh_token.idle_ttl", "1h").with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        go_back(&app, HOUR / 2);
        device.refresh().await.ok();
        device.refresh().await.ok();
        app.clock().advance_secs(HOUR / 2 + HOUR - 1);
        device.refresh().await.ok();
        app.clock().advance_secs(HOUR + 1);
        device.refresh().await.problem(401, "session_expired");
    }

    async fn a_session_lives_as_long_as_was_promised(on: On) {
        let app = on.set("refresh_token.idle_ttl", "1h").with_clock().start().await;
        app.user("ada").await;
        let second = on_the_second(&app);
        for fraction in [0, 1, 500, 999] {
            app.clock().set(UnixMillis(second.0 + fraction));
            let mut device = app.sign_in("ada").await;
            for _ in 0..2 {
                let promised = promised(device.refresh().await);
                assert_eq!(promised, HOUR, "at {fraction} ms");
                let before = app.clock().now();
                app.clock().set(before.plus(Duration::from_millis(promised * 1000 - 1)));
                device.refresh().await.ok();
            }
            app.clock().advance_secs(HOUR + 1);
            device.refresh().await.problem(401, "session_expired");
        }
    }

    async fn the_promise_of_a_repeated_refresh_is_kept_too(on: On) {
        let app = on.set("refresh_token.idle_ttl", "1h").with_clock().start().await;
        app.user("ada").await;
        let second = on_the_second(&app);
        app.clock().set(UnixMillis(second.0 + 900));
        let mut device = app.sign_in("ada").await;
        device.send_refresh(Some(relatch_testkit::KEY)).await.ok();
        app.clock().set(UnixMillis(second.0 + 5_950));
        let promised = promised(device.refresh_as(Some(relatch_testkit::KEY)).await);
        app.clock().set(app.clock().now().plus(Duration::from_millis(promised * 1000 - 1)));
        device.refresh().await.ok();
    }
}

/// The access token may have expired meanwhile.
async fn is_alive_everywhere_after_a_refresh(device: &mut Device) {
    device.refresh().await.ok();
    is_alive_everywhere(device).await;
}
