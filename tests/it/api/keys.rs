//! `/admin/keys`: the signing keys, listed and rotated.

use std::time::{Duration, Instant};

use relatch_domain::base64url;
use relatch_testkit::{Device, Node, On};
use serde_json::{Value, json};

/// `kid` of an access token.
pub(super) fn kid(access_token: &str) -> String {
    let header = base64url::decode(access_token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

pub(super) async fn keys(admin: &Device) -> Vec<Value> {
    let page = admin.get("/admin/keys").await.ok();
    assert_eq!(page["next_cursor"], json!(null));
    page["items"].as_array().unwrap().clone()
}

pub(super) async fn rotate(admin: &Device) -> Value {
    admin.post("/admin/keys/rotate", &json!({})).await.expect(201).json()
}

pub(super) async fn published(node: &Node) -> Vec<String> {
    let jwks = node.send(node.get("/.well-known/jwks.json")).await.ok();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn one_is_active(keys: &[Value]) -> &Value {
    let active: Vec<_> = keys.iter().filter(|key| key["state"] == "active").collect();
    assert_eq!(active.len(), 1, "{keys:?}");
    assert_eq!(keys.iter().filter(|key| key["state"] == "next").count(), 1, "{keys:?}");
    active[0]
}

on_both_stores! {
    async fn a_new_key_signs_at_once_and_the_old_one_stays_good(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        let mut old = app.sign_in("ada").await;
        let first = keys(&admin).await;
        assert_eq!(first.len(), 2);
        let made_at = app.clock().rfc3339(0);
        let old_kid = kid(&old.pair.access);
        let expected = json!({
            "kid": old_kid, "algorithm": "ES256", "state": "active", "created_at": made_at, "signs": true,
        });
        assert_eq!(first[0], expected);
        let next = &first[1];
        let expected = json!({
            "kid": next["kid"], "algorithm": "ES256", "state": "next", "created_at": made_at, "signs": false,
        });
        assert_eq!(*next, expected);
        assert_eq!(published(&app.node).await, [old_kid.clone(), next["kid"].as_str().unwrap().to_owned()]);

        app.clock().advance_secs(5);
        let new = rotate(&admin).await;
        let rotated_at = app.clock().rfc3339(0);
        let expected = json!({
            "kid": next["kid"], "algorithm": "ES256", "state": "active", "created_at": made_at, "signs": true,
        });
        assert_eq!(new, expected);
        assert_ne!(new["kid"], old_kid);
        let retired = json!({
            "kid": old_kid, "algorithm": "ES256", "state": "retired", "created_at": made_at,
            "retired_at": rotated_at, "signs": false,
        });
        let now = keys(&admin).await;
        assert_eq!(now[..2], [new.clone(), retired]);
        let another = &now[2];
        assert_eq!((&another["state"], &another["created_at"]), (&json!("next"), &json!(rotated_at)));

        old.check().await.ok();
        old.refresh().await.ok();
        assert_eq!(kid(&old.pair.access), new["kid"].as_str().unwrap());
        let mut published = published(&app.node).await;
        assert_eq!(published[0], new["kid"].as_str().unwrap(), "first the one that signs");
        published.sort();
        let mut all: Vec<_> = now.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(published, all);

        let told = admin.get("/admin/audit?event=key_rotated").await.ok();
        assert_eq!(told["items"][0]["details"], json!({"kid": new["kid"]}));
        let stats = admin.get("/admin/stats").await.ok();
        assert_eq!(stats["keys"], json!({"next": 1, "active": 1, "retired": 1, "revoked": 0}));
    }

    async fn a_key_that_has_leaked_is_good_for_nothing_and_nobody_is_signed_out(on: On) {
        let app = on.start().await;
        let mut admin = app.admin().await;
        app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        let leaked = kid(&ada.pair.access);
        let unknown = json!({ "revoke": "no-such-key" });
        admin.post("/admin/keys/rotate", &unknown).await.problem(400, "invalid_request");
        assert_eq!(keys(&admin).await.len(), 2);
        let new: Value = admin.post("/admin/keys/rotate", &json!({ "revoke": leaked })).await.expect(201).json();

        // Clients forget their tokens on invalid_token, and a refresh renews these.
        ada.check().await.problem(401, "token_expired");
        ada.get("/me").await.problem(401, "token_expired");
        let published = published(&app.node).await;
        assert_eq!(published[0], new["kid"].as_str().unwrap());
        assert!(!published.contains(&leaked));
        // The refresh token was not signed by it.
        ada.refresh().await.ok();
        ada.check().await.ok();
        admin.refresh().await.ok();
        let states: Vec<_> = keys(&admin).await.iter().map(|key| (key["kid"].clone(), key["state"].clone())).collect();
        assert_eq!(states[..2], [(new["kid"].clone(), json!("active")), (json!(leaked), json!("revoked"))]);
        assert_eq!((states.len(), &states[2].1), (3, &json!("next")));
        let told = admin.get("/admin/audit?event=key_rotated").await.ok();
        assert_eq!(told["items"][0]["details"], json!({ "kid": new["kid"], "revoked": leaked }));
    }

    async fn rotations_at_the_same_time_leave_one_active_key(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let made = futures_util::future::join_all((0..8).map(|_| rotate(&admin))).await;
        let keys = keys(&admin).await;
        assert!((3..=10).contains(&keys.len()), "at most one for each: {keys:?}");
        let active = one_is_active(&keys);
        assert_eq!(active["signs"], true);
        assert!(made.iter().any(|key| key["kid"] == active["kid"]));
        assert_eq!(kid(&app.sign_in("admin").await.pair.access), active["kid"].as_str().unwrap());
    }

    /// The node looks every five seconds, and signs with what has been published for ten minutes.
    async fn an_old_key_is_followed_by_the_next_one_by_itself(on: On) {
        let app = on.set("access_token.rotate_key_after", "30d").with_clock().start().await;
        let before = keys(&app.admin().await).await;
        app.clock().advance_secs(30 * 24 * 3600);
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut device = app.sign_in("admin").await;
        while kid(&device.pair.access) != before[1]["kid"].as_str().unwrap() {
            assert!(Instant::now() < deadline, "the old key goes on signing");
            tokio::time::sleep(Duration::from_millis(50)).await;
            device = app.sign_in("admin").await;
        }
        let told = device.get("/admin/audit?event=key_rotated").await.ok();
        assert_eq!(told["items"][0]["actor"]["kind"], "server");
        assert_eq!(told["items"].as_array().unwrap().len(), 1);
    }

    async fn a_rotation_takes_no_body_or_an_empty_object(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let bare = app.node.post("/admin/keys/rotate").bearer_auth(&admin.pair.access);
        app.node.send(bare).await.expect(201);
        for wrong in [json!({"algorithm": "none"}), json!([]), json!(null), json!("x")] {
            admin.post("/admin/keys/rotate", &wrong).await.problem(400, "invalid_request");
        }
        let text = app.node.post("/admin/keys/rotate").bearer_auth(&admin.pair.access).body("{}");
        app.node.send(text).await.problem(415, "unsupported_media_type");
        admin.get("/admin/keys?state=active").await.problem(400, "invalid_request");
        admin.get("/admin/keys/rotate").await.problem(405, "method_not_allowed");
        assert_eq!(keys(&admin).await.len(), 3, "nothing but the first call made a key");
    }

    async fn keys_are_for_administrators(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        ada.get("/admin/keys").await.problem(403, "insufficient_scope");
        ada.post("/admin/keys/rotate", &json!({})).await.problem(403, "insufficient_scope");
        app.post_json("/admin/keys/rotate", &json!({})).await.problem(401, "authentication_required");
        assert_eq!(keys(&app.admin().await).await.len(), 2);
    }

    async fn a_shared_secret_rotates_as_well_and_is_not_shown(on: On) {
        let app = on.set("access_token.algorithm", "HS256").start().await;
        let admin = app.admin().await;
        let mut old = app.sign_in("admin").await;
        let new = rotate(&admin).await;
        assert_eq!(new["algorithm"], "HS256");
        old.check().await.ok();
        old.refresh().await.ok();
        assert_eq!(kid(&old.pair.access), new["kid"].as_str().unwrap());
        assert_eq!(published(&app.node).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn other_nodes_understand_the_new_key_at_once_and_sign_with_it_soon() {
    let app = On::redis().start().await;
    let node = app.second_node().await;
    let admin = app.admin().await;
    let new = rotate(&admin).await;
    let mut device = app.sign_in("admin").await;
    assert_eq!(kid(&device.pair.access), new["kid"].as_str().unwrap());
    device.node = node;
    device.check().await.ok();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        device.refresh().await.ok();
        if kid(&device.pair.access) == new["kid"].as_str().unwrap() {
            break;
        }
        assert!(Instant::now() < deadline, "the other node goes on with the old key");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nodes_that_rotate_at_the_same_time_agree_on_one_key() {
    let app = On::redis().start().await;
    let mut nodes = vec![app.admin().await];
    for _ in 0..2 {
        nodes.push(Device { node: app.second_node().await, ..app.admin().await });
    }
    let rotations = (0..9).map(|n| rotate(&nodes[n % 3]));
    futures_util::future::join_all(rotations).await;
    let mut active = Vec::new();
    for admin in &nodes {
        let keys = keys(admin).await;
        assert!((3..=11).contains(&keys.len()), "{keys:?}");
        let key = one_is_active(&keys);
        assert_eq!(key["signs"], true);
        active.push(key["kid"].clone());
    }
    assert!(active.iter().all(|kid| *kid == active[0]), "{active:?}");
}
