//! What must never leave: tokens and passwords in logs, and anything in Redis from which a token could be made.

use relatch_testkit::browser::REFRESH;
use relatch_testkit::{KEY, On, PASSWORD};
use serde_json::json;

const NEW: &str = "a long walk on the pier";

/// Everything that a session issues in its life, and what was sent to get it.
async fn live_a_life(app: &relatch_testkit::TestApp) -> Vec<String> {
    let mut secrets = vec![PASSWORD.to_owned(), KEY.to_owned()];
    app.user("ada").await;
    app.login("ada", "a wrong password").await.problem(401, "invalid_credentials");
    secrets.push("a wrong password".to_owned());
    let mut device = app.sign_in("ada").await;
    for attempt in [Some(KEY), None] {
        secrets.extend([device.pair.access.clone(), device.pair.refresh.clone()]);
        device.refresh_as(attempt).await.ok();
    }
    secrets.extend([device.pair.access.clone(), device.pair.refresh.clone()]);
    let mut broken = device.clone();
    broken.pair.access.push('x');
    broken.refresh().await.problem(401, "invalid_token");
    secrets.push(broken.pair.access);
    app.post_json("/login", &json!({"username": "ada", "password": ["mistyped secret"]}))
        .await
        .problem(400, "invalid_request");
    secrets.push("mistyped secret".to_owned());
    for delivery in ["cookie", "hybrid"] {
        let mut browser = app.browse("ada", delivery).await;
        secrets.extend(browser.jar.values().cloned());
        browser.refresh().await.expect(200);
        secrets.extend(browser.jar.values().cloned());
        browser.jar.insert(REFRESH.to_owned(), "a-forged-cookie".to_owned());
        browser.refresh().await.problem(401, "invalid_refresh_token");
        secrets.extend(browser.jar.values().cloned());
    }
    for (current, new, status) in
        [(PASSWORD, "dragon2024!!", 400), ("another wrong one", NEW, 401), (PASSWORD, NEW, 200)]
    {
        let body = json!({"current_password": current, "new_password": new});
        device.put("/password", &body).await.expect(status);
        secrets.extend([current.to_owned(), new.to_owned()]);
    }
    app.login("ada", NEW).await.ok();
    let mut thief = device.clone();
    device.refresh().await.ok();
    device.refresh().await.ok();
    thief.refresh().await.problem(401, "refresh_token_reused");
    secrets
}

/// The parts of a secret that would give it away: the whole, and for a JWT its signature.
fn telling_parts(secrets: &[String]) -> Vec<&str> {
    secrets.iter().flat_map(|secret| [Some(secret.as_str()), secret.rsplit('.').next()]).flatten().collect()
}

#[tokio::test]
async fn a_dump_of_redis_holds_no_token() {
    let mut app = On::redis().start().await;
    let secrets = live_a_life(&app).await;
    let dump = app.redis().dump();
    assert!(dump.len() > 500, "the dump has something in it");
    let text = String::from_utf8_lossy(&dump);
    for part in telling_parts(&secrets) {
        assert!(!text.contains(part), "{part:?} stands in Redis");
    }
    // The bytes that tokens are made of: everything is known to the store but the MAC and its key.
    for token in secrets.iter().filter_map(|secret| secret.strip_prefix("rlt1_")) {
        let bytes = relatch_domain::base64url::decode(token).unwrap();
        let mac = &bytes[bytes.len() - 20..];
        assert!(!dump.windows(8).any(|window| window == &mac[..8]), "a MAC stands in Redis");
    }
    let master = relatch_testkit::app::master_key_bytes();
    assert!(!dump.windows(32).any(|window| window == master), "the master key stands in Redis");
}

#[tokio::test]
async fn a_private_signing_key_is_not_in_redis() {
    for algorithm in ["ES256", "EdDSA", "RS256", "HS256"] {
        let mut app = On::redis().set("access_token.algorithm", algorithm).start().await;
        let dump = app.redis().dump();
        // PKCS#8 (RFC 5208) begins with a SEQUENCE, a version 0 or 1, and the algorithm's identifier.
        for prefix in [&b"\x02\x01\x00\x30"[..], b"\x02\x01\x01\x30"] {
            assert!(!dump.windows(prefix.len()).any(|window| window == prefix), "{algorithm}: PKCS#8");
        }
        let text = String::from_utf8_lossy(&dump);
        for member in ["\"d\":", "\"k\":", "PRIVATE KEY"] {
            assert!(!text.contains(member), "{algorithm}: {member}");
        }
    }
}

#[tokio::test]
async fn no_log_line_holds_a_token_or_a_password() {
    for on in [On::embedded(), On::redis()] {
        let app = on.in_own_process().set("log.level", "trace").start().await;
        let secrets = live_a_life(&app).await;
        let log = app.log();
        assert!(log.contains("refresh"), "the log has something in it: {log}");
        for part in telling_parts(&secrets) {
            assert!(!log.contains(part), "{part:?} stands in the log");
        }
    }
}
