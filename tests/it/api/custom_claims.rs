//! Claims of the access token that users' attributes fill.

use relatch_testkit::{Device, PASSWORD, TestApp};
use relatch_verify::{AccessClaims, Expectations, KeySet, verify};
use serde_json::{Map, Value, json};

/// What an API server reads in a device's access token.
async fn claims(app: &TestApp, device: &Device) -> AccessClaims {
    let answer = app.node.send(app.node.get("/.well-known/jwks.json")).await.expect(200);
    let keys = KeySet::from_jwks(answer.text.as_bytes()).unwrap();
    let audience = ["http://localhost:8080".to_owned()];
    let now = u64::from(app.now().seconds().0);
    let leeway = std::time::Duration::from_secs(5);
    let expected = Expectations { issuer: "http://localhost:8080", audience: &audience, now, leeway };
    verify(&device.pair.access, &keys, &expected).unwrap()
}

fn extra(claims: AccessClaims) -> Value {
    Value::Object(claims.extra.into_iter().collect::<Map<_, _>>())
}

on_both_stores! {
    async fn the_token_carries_the_attributes_that_are_named(on: On) {
        let app = on.set("access_token.claims", "tenant, urn:acme:plan=plan,level").start().await;
        let admin = app.admin().await;
        let attributes = json!({"tenant": "acme", "plan": ["gold", "\"ü\u{1}"], "secret": "x", "urn:acme:plan": "no"});
        let body = json!({"username": "ada", "password": PASSWORD, "attributes": attributes});
        let created = admin.post("/admin/users", &body).await.expect(201).json();
        let mut device = app.sign_in("ada").await;
        let first = claims(&app, &device).await;
        assert_eq!(first.sub, device.user_id);
        assert_eq!(extra(first), json!({"tenant": "acme", "urn:acme:plan": ["gold", "\"ü\u{1}"]}));

        let path = format!("/admin/users/{}", created["id"].as_str().unwrap());
        let changes = json!({"attributes": {"tenant": null, "level": 3, "plan": false}});
        admin.patch(&path, &changes).await.ok();
        assert_eq!(extra(claims(&app, &device).await)["tenant"], "acme", "until the next refresh");
        device.refresh().await.ok();
        assert_eq!(extra(claims(&app, &device).await), json!({"level": 3, "urn:acme:plan": false}));
        device.check().await.ok();
        assert_eq!(extra(claims(&app, &admin).await), json!({}));
    }

    async fn without_the_setting_no_attribute_travels(on: On) {
        let app = on.start().await;
        let body = json!({"username": "ada", "password": PASSWORD, "attributes": {"tenant": "acme"}});
        app.admin().await.post("/admin/users", &body).await.expect(201);
        let mut device = app.sign_in("ada").await;
        assert_eq!(extra(claims(&app, &device).await), json!({}));
        device.refresh().await.ok();
        assert_eq!(extra(claims(&app, &device).await), json!({}));
    }

    async fn an_attribute_cannot_pass_for_a_claim_of_the_server(on: On) {
        let app = on.set("access_token.claims", "x=sub,y=roles").start().await;
        let attributes = json!({"sub": "admin", "roles": ["admin"], "exp": 9_999_999_999_i64});
        let body = json!({"username": "eve", "password": PASSWORD, "attributes": attributes});
        app.admin().await.post("/admin/users", &body).await.expect(201);
        let device = app.sign_in("eve").await;
        let claims = claims(&app, &device).await;
        assert_eq!((&claims.sub, &claims.roles), (&device.user_id, &vec!["user".to_owned()]));
        assert_eq!(extra(claims), json!({"x": "admin", "y": ["admin"]}));
        device.get("/admin/users").await.problem(403, "insufficient_scope");
        for wrong in ["sub", "roles=x", "scope=a", "a=b,a=c", "a b"] {
            let message = app.failing_node_with(&[("access_token.claims", wrong)]).await;
            assert!(message.contains("access_token.claims"), "{wrong}: {message}");
        }
    }

    async fn the_longest_token_passes_through_every_door(on: On) {
        let names: Vec<_> = ('a'..='p').map(|name| format!("{name}{}={name}", "x".repeat(31))).collect();
        let app = on.set("access_token.claims", &names.join(",")).set("access_token.algorithm", "RS256").start().await;
        let admin = app.admin().await;
        let mut attributes: Map<_, _> = ('b'..='p').map(|name| (name.to_string(), json!(1))).collect();
        let room = 1024 - (15 * "\"b\":1,".len() + "{\"a\":\"\"}".len());
        attributes.insert("a".to_owned(), json!("x".repeat(room)));
        let roles: Vec<_> = (0..32).map(|n| format!("{n:064}")).collect();
        let name = "\"".repeat(128);
        let body = json!({"username": name, "password": PASSWORD, "roles": roles, "attributes": attributes});
        admin.post("/admin/users", &body).await.expect(201);
        let mut device = app.sign_in(&name).await;
        assert!(device.pair.access.len() > 6000, "{}", device.pair.access.len());
        assert_eq!(extra(claims(&app, &device).await).as_object().unwrap().len(), 16);
        device.check().await.ok();
        device.refresh().await.ok();
        device.get("/sessions").await.ok();
        device.sign_out().await.expect(204);
    }
}
