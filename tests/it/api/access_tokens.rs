//! Access tokens as API servers see them.

use relatch_verify::{Expectations, KeySet, Refusal, verify, verify_origin};
use serde_json::json;

on_both_stores! {
    async fn an_api_server_checks_them_with_the_public_keys(on: On) {
        for algorithm in ["ES256", "EdDSA", "RS256"] {
            let app = on.clone().set("access_token.algorithm", algorithm).start().await;
            app.user("ada").await;
            let device = app.sign_in("ada").await;
            let answer = app.node.send(app.node.get("/.well-known/jwks.json")).await.expect(200);
            assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
            let keys = KeySet::from_jwks(answer.text.as_bytes()).unwrap();
            let audience = ["http://localhost:8080".to_owned()];
            let now = u64::from(app.now().seconds().0);
            let expected = Expectations { issuer: "http://localhost:8080", audience: &audience, now, leeway: std::time::Duration::ZERO };
            let claims = verify(&device.pair.access, &keys, &expected).unwrap();
            assert_eq!(claims.sub, device.user_id);
            assert_eq!(claims.sid, device.session_id);
            assert_eq!(claims.client_id, "relatch");
            assert_eq!(claims.roles, ["user"]);
            assert_eq!(claims.exp - claims.iat, 900);
            let later = Expectations { now: now + 1000, ..expected };
            assert_eq!(verify(&device.pair.access, &keys, &later).err(), Some(Refusal::Expired));

            let jwk = &answer.json()["keys"][0];
            assert_eq!(jwk["use"], "sig");
            assert_eq!(jwk["alg"], algorithm);
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(jwk.get(private).is_none(), "{private}");
            }
        }
    }

    async fn a_shared_secret_is_never_published(on: On) {
        let app = on.set("access_token.algorithm", "HS256").start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        assert_eq!(app.node.send(app.node.get("/.well-known/jwks.json")).await.ok(), json!({"keys": []}));
        device.refresh().await.ok();
        device.check().await.ok();
    }

    async fn the_time_of_sign_in_stays_through_refreshes(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let signed_in_at = app.clock().rfc3339(0);
        app.clock().advance_secs(100);
        device.refresh().await.ok();
        let body = device.check().await.ok();
        assert_eq!(body["session"]["signed_in_at"], signed_in_at);
        assert_eq!(body["expires_at"], app.clock().rfc3339(900));
    }

    async fn a_token_of_another_server_is_refused_everywhere(on: On) {
        let app = on.clone().start().await;
        let other = on.set("master_key", &relatch_testkit::app::another_master_key()).start().await;
        app.user("ada").await;
        other.user("ada").await;
        let device = app.sign_in("ada").await;
        let foreign = other.sign_in("ada").await;
        let mut mixed = device.clone();
        mixed.pair.access = foreign.pair.access.clone();
        mixed.check().await.problem(401, "invalid_token");
        mixed.refresh().await.problem(401, "invalid_token");
        mixed.get("/sessions").await.problem(401, "invalid_token");
        mixed.pair.access = device.pair.access.clone();
        mixed.pair.refresh = foreign.pair.refresh;
        mixed.refresh().await.problem(401, "invalid_refresh_token");
    }

    async fn another_audience_is_refused_but_still_makes_a_pair(on: On) {
        let app = on.set("access_token.audience", "https://api.example").start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let jwks = app.node.send(app.node.get("/.well-known/jwks.json")).await.expect(200);
        let keys = KeySet::from_jwks(jwks.text.as_bytes()).unwrap();
        let audience = ["https://other.example".to_owned()];
        let now = u64::from(app.now().seconds().0);
        let expected = Expectations { issuer: "http://localhost:8080", audience: &audience, now, leeway: std::time::Duration::ZERO };
        assert_eq!(verify(&device.pair.access, &keys, &expected).err(), Some(Refusal::WrongAudience));
        assert!(verify_origin(&device.pair.access, &keys).is_ok());
        device.refresh().await.ok();
    }
}
