//! What an application keeps with a user.

use futures_util::future::join_all;
use relatch_testkit::PASSWORD;
use serde_json::{Value, json};

fn new_user(attributes: &Value) -> Value {
    json!({"username": "ada", "password": PASSWORD, "attributes": attributes})
}

fn path(user: &Value) -> String {
    format!("/admin/users/{}", user["id"].as_str().unwrap())
}

on_both_stores! {
    async fn attributes_are_kept_and_shown_to_administrators(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let attributes = json!({"tenant": "acme", "level": -3, "vip": true, "teams": ["a", "b"], "note": "\u{1f980} \" \\ \u{1}"});
        let created = admin.post("/admin/users", &new_user(&attributes)).await.expect(201).json();
        assert_eq!(created["attributes"], attributes);
        assert_eq!(admin.get(&path(&created)).await.ok()["attributes"], attributes);
        let listed = admin.get("/admin/users?query=ada").await.ok();
        assert_eq!(listed["items"], json!([created]));

        let plain = admin.get(&format!("/admin/users/{}", admin.user_id)).await.ok();
        assert_eq!(plain["attributes"], json!({}), "always an object");
        let signed_in = app.login("ada", PASSWORD).await.ok();
        assert!(signed_in["user"].get("attributes").is_none());
    }

    async fn a_change_merges(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let attributes = json!({"tenant": "acme", "teams": ["a", "b"], "old": 1});
        let user = admin.post("/admin/users", &new_user(&attributes)).await.expect(201).json();
        for (patch, result) in [
            (json!({"tenant": "x", "old": null}), json!({"tenant": "x", "teams": ["a", "b"]})),
            (json!({}), json!({"tenant": "x", "teams": ["a", "b"]})),
            (json!({"unknown": null}), json!({"tenant": "x", "teams": ["a", "b"]})),
            (json!({"teams": ["c"]}), json!({"tenant": "x", "teams": ["c"]})),
            (json!({"teams": [], "tenant": false}), json!({"tenant": false, "teams": []})),
            (json!(null), json!({})),
            (json!({"n": 9_007_199_254_740_991_i64}), json!({"n": 9_007_199_254_740_991_i64})),
        ] {
            let changed = admin.patch(&path(&user), &json!({"attributes": patch})).await.ok();
            assert_eq!(changed["attributes"], result, "{patch}");
            assert_eq!(admin.get(&path(&user)).await.ok(), changed);
        }
    }

    async fn attributes_must_make_sense(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let user = admin.post("/admin/users", &new_user(&json!({"a": 1}))).await.expect(201).json();
        let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("a{n}"), json!(n))).collect();
        let long = "x".repeat(1017);
        for wrong in [
            json!([]),
            json!("a"),
            json!({"": 1}),
            json!({"a b": 1}),
            json!({"ä": 1}),
            json!({"a/b": 1}),
            json!({"x".repeat(65): 1}),
            json!({"a": {}}),
            json!({"a": 1.5}),
            json!({"a": [1]}),
            json!({"a": [null]}),
            json!({"a": 9_007_199_254_740_992_i64}),
            json!({"a": u64::MAX}),
            json!({"a": long}),
            json!({"a": vec!["x"; 500]}),
            Value::Object(many),
        ] {
            let problem = admin.patch(&path(&user), &json!({"attributes": wrong})).await.problem(400, "invalid_request");
            assert!(problem["fields"][0]["field"].as_str().unwrap().starts_with("attributes"), "{problem}");
            let mut body = new_user(&wrong);
            body["username"] = json!("eve");
            admin.post("/admin/users", &body).await.problem(400, "invalid_request");
        }
        let mut body = new_user(&json!({"a": null}));
        body["username"] = json!("eve");
        admin.post("/admin/users", &body).await.problem(400, "invalid_request");
        let twice = r#"{"attributes":{"a":2,"\u0061":3}}"#;
        let request = admin.node.request("PATCH", &path(&user)).bearer_auth(&admin.pair.access);
        let request = request.header("Content-Type", "application/json").body(twice);
        admin.node.send(request).await.problem(400, "invalid_request");
        assert_eq!(admin.get(&path(&user)).await.ok(), user);
        app.login("eve", PASSWORD).await.problem(401, "invalid_credentials");

        let longest = json!({"a": "x".repeat(1016)});
        assert_eq!(longest.to_string().len(), 1024);
        assert_eq!(admin.patch(&path(&user), &json!({"attributes": longest})).await.ok()["attributes"], longest);
        // What is there counts.
        let more = json!({"attributes": {"b": 1}});
        admin.patch(&path(&user), &more).await.problem(400, "invalid_request");
    }

    async fn of_changes_at_once_each_holds_in_what_it_names(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let user = admin.post("/admin/users", &new_user(&json!({"kept": 1, "gone": 1}))).await.expect(201).json();
        let at = path(&user);
        for round in 0..8 {
            let patches = [
                json!({"attributes": {"gone": null, "a": round}}),
                json!({"attributes": {"b": round}, "roles": ["billing:read"]}),
                json!({"attributes": {"c": [round.to_string()]}}),
            ];
            for answer in join_all(patches.iter().map(|patch| admin.patch(&at, patch))).await {
                answer.ok();
            }
            let now = admin.get(&at).await.ok();
            assert_eq!(now["attributes"], json!({"kept": 1, "a": round, "b": round, "c": [round.to_string()]}));
            assert_eq!(now["roles"], json!(["billing:read"]));
        }
    }

    async fn of_changes_at_once_to_the_same_attribute_one_holds(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let user = admin.post("/admin/users", &new_user(&json!({"kept": 1}))).await.expect(201).json();
        let at = path(&user);
        let patches = [json!({"attributes": {"a": 1}}), json!({"attributes": {"a": 2}}), json!({"attributes": null})];
        for answer in join_all(patches.iter().map(|patch| admin.patch(&at, patch))).await {
            answer.ok();
        }
        let now = admin.get(&at).await.ok()["attributes"].clone();
        assert!([json!({}), json!({"a": 1}), json!({"a": 2})].contains(&now), "what was kept has gone: {now}");
    }
}
