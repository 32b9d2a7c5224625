//! How long a signing key is published, how long it is kept, and what clients hear meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relatch::ambient::Random;
use relatch::keys::signing::{Algorithm, SigningKey};
use relatch_testkit::forge::claims_of;
use relatch_testkit::{Device, Forger, Node, On};
use serde_json::json;

use super::keys::{keys, kid, published, rotate};

/// An access token's lifetime and the time for which answers with the key set may be kept, by default.
const PUBLISHED: u64 = 15 * 60 + 5 * 60;
/// A session's longest life by default and a day.
const KEPT: u64 = 91 * 24 * 3600;
/// Retired keys of which so many are published make a rotation wait.
const MOST_PUBLISHED: usize = 16;

/// Waits until the nodes, which look every five seconds, hold and list so many keys.
async fn until_kept(app: &relatch_testkit::TestApp, expected: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let admin = app.sign_in("admin").await;
        let found = keys(&admin).await.len();
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found} keys, not {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A token of a key that no server has.
fn made_up(like: &str) -> String {
    let stranger = Forger::with(Arc::new(SigningKey::generate(Algorithm::EdDSA, Random).unwrap()));
    stranger.token(stranger.header(), claims_of(like))
}

/// Sends a token of another unknown key every tenth of a second until it is told to stop. Gives how many 401s there were.
async fn trickle(node: Node, like: String, stop: Arc<AtomicBool>) -> usize {
    let mut refused = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = node.send(node.get("/auth/check").bearer_auth(made_up(&like))).await;
        assert!([401, 503].contains(&answer.status), "{answer:?}");
        refused += usize::from(answer.status == 401);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    refused
}

/// Refreshes as clients do: what is unavailable is tried again.
async fn refresh_until_answered(device: &mut Device) -> usize {
    let (deadline, mut tries) = (Instant::now() + Duration::from_secs(20), 1);
    loop {
        let answer = device.refresh().await;
        if answer.status != 503 {
            answer.ok();
            return tries;
        }
        assert_eq!(answer.header("retry-after"), Some("1"));
        answer.problem(503, "temporarily_unavailable");
        assert!(Instant::now() < deadline, "the new key is never known");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

on_both_stores! {
    async fn a_retired_key_is_published_as_long_as_its_tokens_live_and_kept_as_long_as_sessions(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        let mut late = ada.clone();
        let old = kid(&ada.pair.access);
        rotate(&app.admin().await).await;
        app.clock().advance_secs(PUBLISHED - 1);
        assert!(published(&app.node).await.contains(&old));
        app.clock().advance_secs(1);
        assert!(!published(&app.node).await.contains(&old), "it follows the time, without a rotation");
        assert_eq!(published(&app.node).await.len(), 2);
        // What it signed has expired, is ours all the same and makes a pair.
        ada.check().await.problem(401, "token_expired");
        ada.refresh().await.ok();
        app.clock().advance_secs(10 * 24 * 3600);
        late.check().await.problem(401, "token_expired");
        late.pair.refresh = ada.pair.refresh.clone();
        late.refresh().await.ok();
        assert_eq!(keys(&app.sign_in("admin").await).await.len(), 3, "it is kept");
        app.clock().advance_secs(KEPT + 2 * 3600);
        until_kept(&app, 2).await;
    }

    async fn a_key_set_does_not_grow_without_bound(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        for _ in 0..MOST_PUBLISHED {
            rotate(&admin).await;
        }
        let full = published(&app.node).await;
        assert_eq!(full.len(), MOST_PUBLISHED + 2);
        app.clock().advance_secs(60);
        let answer = admin.post("/admin/keys/rotate", &json!({})).await;
        assert_eq!(answer.header("retry-after"), Some("1140"));
        answer.problem(429, "too_many_requests");
        assert_eq!(published(&app.node).await, full);
        // A key that has leaked is revoked all the same, and there is one less to publish.
        for leaked in [&full[0], &full[1], &full[2]] {
            admin.post("/admin/keys/rotate", &json!({ "revoke": leaked })).await.expect(201);
            let now = published(&app.node).await;
            assert!(!now.contains(leaked) && now.len() <= full.len(), "{}", now.len());
            rotate_if_there_is_room(&app.sign_in("admin").await).await;
        }
        app.clock().advance_secs(PUBLISHED - 60);
        rotate(&app.sign_in("admin").await).await;
    }

    async fn a_new_audience_or_issuer_makes_clients_refresh(on: On) {
        let mut app = on.start().await;
        app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        app.restart_with(&[("access_token.audience", "https://api.example")]).await;
        ada.node = app.node.clone();
        for path in ["/auth/check", "/auth/check?live=true", "/me", "/sessions"] {
            let answer = ada.get(path).await;
            let challenge = r#"Bearer error="invalid_token", error_description="The access token expired""#;
            assert_eq!(answer.header("www-authenticate"), Some(challenge));
            answer.problem(401, "token_expired");
        }
        ada.refresh().await.ok();
        ada.check().await.ok();
    }
}

async fn rotate_if_there_is_room(admin: &Device) {
    let answer = admin.post("/admin/keys/rotate", &json!({})).await;
    assert!([201, 429].contains(&answer.status), "{answer:?}");
}

/// A stranger's tokens keep the other node from looking for keys more than once a second, and the key that signs is newer.
#[tokio::test]
async fn a_trickle_of_unknown_keys_signs_nobody_out_when_keys_rotate() {
    let app = On::redis().start().await;
    let other = app.second_node().await;
    app.user("ada").await;
    let admin = app.admin().await;
    let mut ada = app.sign_in("ada").await;
    let stop = Arc::new(AtomicBool::new(false));
    let stranger = tokio::spawn(trickle(other.clone(), ada.pair.access.clone(), Arc::clone(&stop)));
    let mut tries = Vec::new();
    for _ in 0..6 {
        rotate(&admin).await;
        rotate(&admin).await;
        ada.node = app.node.clone();
        ada.refresh().await.ok();
        ada.node = other.clone();
        tries.push(refresh_until_answered(&mut ada).await);
        ada.check().await.ok();
    }
    stop.store(true, Ordering::Relaxed);
    stranger.await.unwrap();
    assert!(tries.iter().any(|tries| *tries > 1), "no refresh came with an unknown key: {tries:?}");
}
