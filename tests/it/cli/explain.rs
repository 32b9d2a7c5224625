//! `relatch session explain`: the true cause of every sign-out, in words.

use relatch_testkit::{Device, KEY, Node, On, PASSWORD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Place;

const OTHER_PASSWORD: &str = "a long walk on the pier";

/// On both stores, with a clock that can be moved; asked through the socket of the server.
async fn places() -> [Place; 2] {
    let settings = |on: On| {
        let on = on.with_clock().set("sessions.max_per_user", "2").set("refresh_token.absolute_ttl", "20d");
        Place::of(on, TempDir::new().unwrap(), true)
    };
    [settings(On::embedded()).await, settings(On::redis()).await]
}

fn explained(place: &Place, device: &Device) -> Value {
    place.object(&["session", "explain", &device.session_id])
}

/// Asserts the cause and what the summary says besides.
#[track_caller]
fn says(place: &Place, device: &Device, cause: &str, words: &[&str]) {
    let explained = explained(place, device);
    assert_eq!(explained["cause"], cause, "{explained}");
    let summary = explained["summary"].as_str().unwrap();
    for word in words {
        assert!(summary.contains(word), "{word:?} is not in {summary:?}");
    }
    let printed = place.does(&["session", "explain", &device.session_id]);
    assert!(printed.starts_with(&format!("{summary}\n")), "{printed}");
}

/// Waits until a line of the story says this.
async fn until_told(place: &Place, device: &Device, what: &str) {
    let begun = std::time::Instant::now();
    while !explained(place, device)["story"].to_string().contains(what) {
        assert!(begun.elapsed().as_secs() < 5, "{}", explained(place, device));
        tokio::task::yield_now().await;
    }
}

fn with_agent(device: &Device, agent: &str) -> Device {
    Device { node: Node::with_agent(device.node.base().to_owned(), agent), ..device.clone() }
}

#[tokio::test]
async fn what_devices_and_their_users_did_is_told() {
    for place in &places().await {
        let (app, seconds) = (&place.app, |seconds| place.app.clock().advance_secs(seconds));
        let start = app.clock().rfc3339(0);
        for name in ["ann", "bob", "eve", "fay", "gus"] {
            app.user(name).await;
        }

        let device = app.sign_in_as("ann", "phone").await;
        says(place, &device, "live", &["ann's session on \"phone\"", "nobody has ended it"]);
        device.sign_out().await.expect(204);
        says(place, &device, "signed_out", &["signed itself out", "127.0.0.1", &start]);

        let device = app.sign_in("bob").await;
        let laptop = with_agent(&app.sign_in("bob").await, "laptop/7");
        laptop.delete(&format!("/sessions/{}", device.session_id)).await.expect(204);
        says(place, &device, "revoked_by_user", &["from another session of theirs", "laptop/7"]);

        let mut device = app.sign_in("eve").await;
        let mut thief = with_agent(&device, "thief/1");
        thief.refresh_as(Some(KEY)).await.ok();
        until_told(place, &device, "refreshed from elsewhere than before, from 127.0.0.1 (\\\"thief/1\\\")")
            .await;
        device.refresh().await.problem(409, "refresh_superseded");
        until_told(place, &device, "came second in a race").await;
        seconds(11);
        device.refresh().await.problem(401, "refresh_token_reused");
        let parties = [
            "presented from 127.0.0.1 (\"relatch-testkit\")",
            "in use from 127.0.0.1 (\"thief/1\")",
            "Two parties",
        ];
        says(place, &device, "reuse", &parties);

        let device = app.sign_in("fay").await;
        for _ in 0..2 {
            seconds(1);
            app.sign_in("fay").await;
        }
        says(place, &device, "replaced", &["signed in once more", "made room"]);

        let device = app.sign_in("gus").await;
        let change = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
        app.sign_in("gus").await.put("/password", &change).await.ok();
        says(place, &device, "password_changed", &["the user changed the password"]);
    }
}

#[tokio::test]
async fn what_administrators_did_is_told() {
    for place in &places().await {
        let app = &place.app;
        let admin = app.admin().await;
        for name in ["cid", "dan", "kim"] {
            app.user(name).await;
        }

        let device = app.sign_in("cid").await;
        let revoke = json!({"session_id": device.session_id, "reason": "lost phone"});
        admin.post("/admin/revoke", &revoke).await.ok();
        says(place, &device, "revoked_by_admin", &["the administrator admin", "\"lost phone\""]);

        let device = app.sign_in("dan").await;
        place.does(&["session", "revoke", &device.session_id]);
        says(place, &device, "revoked_by_admin", &["an operator at the server's command line"]);

        let id = app.user("hal").await;
        let device = app.sign_in("hal").await;
        admin.patch(&format!("/admin/users/{id}"), &json!({"password": OTHER_PASSWORD})).await.ok();
        says(place, &device, "password_changed", &["the administrator admin set a new password"]);

        let id = app.user("ida").await;
        let device = app.sign_in("ida").await;
        admin.patch(&format!("/admin/users/{id}"), &json!({"disabled": true})).await.ok();
        says(place, &device, "user_disabled", &["the administrator admin disabled the account"]);

        let id = app.user("jan").await;
        let device = app.sign_in("jan").await;
        admin.delete(&format!("/admin/users/{id}")).await.expect(204);
        says(
            place,
            &device,
            "user_deleted",
            &["jan's session", "the administrator admin deleted the account"],
        );

        let device = app.sign_in("kim").await;
        app.clock().advance_secs(1);
        let cutoff = app.clock().rfc3339(0);
        admin.post("/admin/revoke", &json!({"signed_in_before": cutoff})).await.expect(202);
        says(place, &device, "signed_in_before", &["signed out everyone", &cutoff]);
    }
}

#[tokio::test]
async fn what_nobody_ended_is_told_as_well() {
    let day = 86_400;
    for place in &places().await {
        let app = &place.app;
        app.user("ada").await;
        let idle = app.sign_in("ada").await;
        app.clock().advance_secs(14 * day);
        let ended = app.clock().rfc3339(0);
        says(
            place,
            &idle,
            "expired_idle",
            &["ada's session", "not used for so long", &ended, "Nobody ended it"],
        );

        let mut worn = app.sign_in("ada").await;
        app.clock().advance_secs(13 * day);
        worn.refresh().await.ok();
        app.clock().advance_secs(8 * day);
        says(place, &worn, "expired_absolute", &["greatest age", "new sign-in"]);

        // The store forgets an end after a day, as soon as there is a sign-in. The trail remembers.
        let forgotten = app.sign_in("ada").await;
        forgotten.sign_out().await.expect(204);
        app.clock().advance_secs(2 * day);
        app.sign_in("ada").await;
        assert_eq!(explained(place, &forgotten)["story"], json!([]));
        says(place, &forgotten, "signed_out", &["signed itself out"]);

        let nobody = Device { session_id: "A".repeat(43), ..worn.clone() };
        says(place, &nobody, "unknown", &["This session", "Signing in again helps"]);
        let wrong = place.fails(&["session", "explain", "ada"], 1);
        assert!(wrong.contains("no session id") && wrong.contains("session list"), "{wrong}");
    }
}

#[tokio::test]
async fn the_story_has_what_was_not_ordinary() {
    for place in &places().await {
        let app = &place.app;
        app.user("ada").await;
        let mut device = app.sign_in_as("ada", "phone").await;
        let lost = device.clone();
        device.refresh_as(Some(KEY)).await.ok();
        for _ in 0..3 {
            lost.send_refresh(Some(KEY)).await.ok();
        }
        until_told(place, &device, "repeated a refresh and got the same token again").await;
        assert!(explained(place, &device)["story"].to_string().contains("refreshed, once"));
        let mut device = with_agent(&device, "train/2");
        device.refresh().await.ok();
        until_told(place, &device, "refreshed from elsewhere").await;
        let story = explained(place, &device)["story"].as_array().unwrap().clone();
        let line = |what: &str| format!("{}  {what}", app.clock().rfc3339(0));
        let told: Vec<_> = story.iter().map(|line| line.as_str().unwrap().to_owned()).collect();
        let testkit = "127.0.0.1 (\"relatch-testkit\")";
        assert_eq!(
            told,
            [
                line(&format!("signed in from {testkit}")),
                line("last refreshed; 2 times in all"),
                line(&format!("repeated a refresh and got the same token again, from {testkit}")),
                line("refreshed from elsewhere than before, from 127.0.0.1 (\"train/2\")"),
            ]
        );
        let timeline = device.get(&format!("/sessions/{}/timeline", device.session_id)).await.ok();
        let events: Vec<_> =
            timeline["items"].as_array().unwrap().iter().map(|item| &item["event"]).collect();
        assert_eq!(events, ["moved", "retried", "refreshed", "signed_in"]);
        assert_eq!(timeline["items"][0]["user_agent"], "train/2");
    }
}
