//! The store has lost its last writes: honest devices go on.
//!
//! On Redis, where a user's sessions can be put aside and put back; that the stores agree is for the conformance suite.

use relatch_testkit::{Device, KEY, OTHER_KEY, On, Pair, TestApp};

/// Puts the sessions of a user aside.
pub(super) fn keep(app: &mut TestApp, device: &Device) {
    let user = &device.user_id;
    let kept = app.redis().say(&format!("COPY relatch:{{{user}}}:s relatch:{{{user}}}:kept REPLACE"));
    assert_eq!(kept, ":1");
}

/// Puts them back: the store has forgotten what came after [`keep`].
pub(super) fn fall_back(app: &mut TestApp, device: &Device) {
    let user = &device.user_id;
    let back = app.redis().say(&format!("COPY relatch:{{{user}}}:kept relatch:{{{user}}}:s REPLACE"));
    assert_eq!(back, ":1");
}

async fn verdicts(app: &TestApp, device: &Device) -> Vec<String> {
    let path = format!("/admin/audit?event=refresh&user={}", device.user_id);
    let audit = app.admin().await.get(&path).await.ok();
    let text = |item: &serde_json::Value| item["details"]["verdict"].as_str().unwrap().to_owned();
    audit["items"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_device_that_is_ahead_of_the_store_goes_on() {
    for attempt in [None, Some(KEY)] {
        let mut app = On::redis().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        keep(&mut app, &device);
        for _ in 0..3 {
            device.refresh().await.ok();
        }
        fall_back(&mut app, &device);
        device.refresh_as(attempt).await.ok();
        device.refresh().await.ok();
        assert_eq!(verdicts(&app, &device).await, ["heal"]);
    }
}

#[tokio::test]
async fn a_refresh_that_the_store_forgot_leads_to_the_same_token_again() {
    let mut app = On::redis().with_clock().start().await;
    app.user("ada").await;
    let device = app.sign_in("ada").await;
    keep(&mut app, &device);
    let first = Pair::of(&device.send_refresh(Some(KEY)).await.ok());
    fall_back(&mut app, &device);
    let again = Pair::of(&device.send_refresh(Some(KEY)).await.ok());
    assert_eq!(again.refresh, first.refresh);
    fall_back(&mut app, &device);
    let other = Pair::of(&device.send_refresh(Some(OTHER_KEY)).await.ok());
    assert_ne!(other.refresh, first.refresh);
}

/// What the model found: the retry's answer is stored, the store forgets the rotation, and a tab that asked with the
/// same attempt key has it rotate once more.
#[tokio::test]
async fn a_late_retry_is_not_overtaken_by_a_request_after_a_rollback() {
    let mut app = On::redis().with_clock().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    let mut other_tab = device.clone();
    keep(&mut app, &device);
    device.send_refresh(Some(KEY)).await.ok();
    app.clock().advance_secs(180);
    device.refresh_as(Some(KEY)).await.ok();
    fall_back(&mut app, &device);
    other_tab.refresh_as(Some(KEY)).await.ok();
    device.refresh_as(Some(OTHER_KEY)).await.ok();
    assert_eq!(verdicts(&app, &device).await, Vec::<String>::new());
}
