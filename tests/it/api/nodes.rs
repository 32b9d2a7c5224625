//! Several nodes on one Redis share nothing else.

use relatch_testkit::{Device, KEY, On};
use serde_json::json;

#[tokio::test]
async fn sign_in_on_one_node_refresh_on_the_other_revoke_on_the_first() {
    let app = On::redis().start().await;
    let second = app.second_node().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    device.node = second.clone();
    device.check().await.ok();
    device.refresh().await.ok();
    device.get("/sessions").await.ok();

    let admin = app.admin().await;
    let body = admin.post("/admin/revoke", &json!({"session_id": device.session_id})).await.ok();
    assert_eq!(body, json!({"revoked_sessions": 1}));
    device.refresh().await.problem(401, "session_revoked");
    device.get("/sessions").await.problem(401, "session_revoked");
    device.get("/auth/check?live=true").await.problem(401, "session_revoked");
}

#[tokio::test]
async fn a_retry_may_reach_another_node() {
    let app = On::redis().start().await;
    let second = app.second_node().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    let lost = device.send_refresh(Some(KEY)).await.ok();
    device.node = second;
    device.refresh_as(Some(KEY)).await.ok();
    assert_eq!(device.pair.refresh, lost["refresh_token"].as_str().unwrap());
}

#[tokio::test]
async fn nodes_that_start_at_once_sign_with_keys_that_all_know() {
    let app = On::redis().start().await;
    let nodes = futures_util::future::join_all((0..3).map(|_| app.second_node())).await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    for node in nodes {
        device.node = node;
        device.refresh().await.ok();
    }
    device.node = app.node.clone();
    device.check().await.ok();
    let jwks = app.node.send(app.node.get("/.well-known/jwks.json")).await.ok();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2, "{jwks}");
}

#[tokio::test]
async fn a_node_that_starts_with_another_algorithm_is_understood_by_the_others() {
    let app = On::redis().start().await;
    let second = app.second_node_with(&[("access_token.algorithm", "EdDSA")]).await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    device.node = second.clone();
    device.refresh().await.ok();
    device.node = app.node.clone();
    device.check().await.ok();
    device.refresh().await.ok();
}

#[tokio::test]
async fn a_node_with_another_master_key_does_not_start() {
    let app = On::redis().start().await;
    let message = app.failing_node_with(&[("master_key", &relatch_testkit::app::another_master_key())]).await;
    assert!(message.contains("master_key"), "{message}");
    let message = app.failing_node_with(&[("issuer", "https://other.example")]).await;
    assert!(message.contains("issuer"), "{message}");
}

/// The procedure of docs/operations.md: first every node knows the new key, then every node uses it, and in the end the
/// old one is forgotten. Nodes of each step run beside those of the step before.
#[tokio::test]
async fn the_master_key_changes_and_nobody_is_signed_out() {
    let app = On::redis().start().await;
    app.user("ada").await;
    let (mut ada, mut idle) = (app.sign_in("ada").await, app.sign_in("ada").await);
    let lost = app.sign_in("ada").await;
    let (old, new) = (relatch_testkit::app::master_key(), relatch_testkit::app::another_master_key());
    let with = |current: &str, previous: &str| {
        [("master_key", current.to_owned()), ("master_keys_previous", previous.to_owned())]
    };
    let node = async |settings: [(&str, String); 2]| {
        let settings = settings.each_ref().map(|(key, value)| (*key, value.as_str()));
        app.second_node_with(settings.get(..if settings[1].1.is_empty() { 1 } else { 2 }).unwrap()).await
    };
    let knowing = node(with(&old, &new)).await;
    let using = node(with(&new, &old)).await;
    for at in [&knowing, &using, &knowing, &using] {
        ada.node = at.clone();
        ada.refresh().await.ok();
        ada.check().await.ok();
    }
    idle.node = using;
    idle.refresh().await.ok();
    // Also what a node of the step before has looked at since then is the same store.
    app.until_ready().await;
    let forgetting = node(with(&new, "")).await;
    for device in [&mut ada, &mut idle] {
        device.node = forgetting.clone();
        device.check().await.ok();
        device.refresh().await.ok();
    }
    Device { node: forgetting, ..lost }.refresh().await.problem(401, "invalid_refresh_token");
    let refused = app.failing_node_with(&[("master_key", &old)]).await;
    assert!(refused.contains("master_key: the store was made under another master key"), "{refused}");
}

#[tokio::test]
async fn a_node_with_a_new_master_key_still_honours_the_old_one() {
    let app = On::redis().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    let old = relatch_testkit::app::master_key();
    let new = relatch_testkit::app::another_master_key();
    let second = app.second_node_with(&[("master_key", &new), ("master_keys_previous", &old)]).await;
    device.node = second;
    device.refresh().await.ok();
    device.refresh().await.ok();
}
