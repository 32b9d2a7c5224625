//! `POST /register`.

use std::time::{Duration, Instant};

use relatch_testkit::{Device, PASSWORD, TestApp};
use serde_json::json;

async fn open(on: On) -> TestApp {
    on.set("registration.enabled", "true").start().await
}

use relatch_testkit::On;

on_both_stores! {
    async fn strangers_make_no_accounts_unless_they_may(on: On) {
        let app = on.start().await;
        let body = json!({"username": "eve", "password": PASSWORD});
        let answer = app.post_json("/register", &body).await;
        assert!(answer.header("www-authenticate").is_none(), "no credentials would help");
        answer.problem(403, "registration_disabled");
        // Whatever the body says.
        for body in [json!({}), json!({"username": "admin", "password": PASSWORD}), json!([])] {
            app.post_json("/register", &body).await.problem(403, "registration_disabled");
        }
        app.login("eve", PASSWORD).await.problem(401, "invalid_credentials");
    }

    async fn a_stranger_becomes_a_user_who_is_not_signed_in_yet(on: On) {
        let app = open(on).await;
        let answer = app.post_json("/register", &json!({"username": "Eve", "password": PASSWORD})).await.expect(201);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("set-cookie").is_none());
        let user = answer.json();
        let id = user["id"].as_str().unwrap();
        assert_eq!(user, json!({"id": id, "username": "eve", "roles": ["user"]}));
        let body = app.login("eve", PASSWORD).await.ok();
        assert_eq!(body["user"], user);
        // A user like all others: no way into the administration.
        Device::signed_in(&app.node, &body).get("/admin/users").await.problem(403, "insufficient_scope");
    }

    async fn a_taken_name_is_a_conflict_however_it_is_written(on: On) {
        let app = open(on).await;
        let id = app.user("ada").await;
        for name in ["ada", "ADA", "ａｄａ", "admin"] {
            let body = json!({"username": name, "password": "another password of mine"});
            app.post_json("/register", &body).await.problem(409, "username_taken");
        }
        let body = app.login("ada", PASSWORD).await.ok();
        assert_eq!(body["user"]["id"], id, "the user is who it was");
        app.login("ada", "another password of mine").await.problem(401, "invalid_credentials");
    }

    async fn a_name_that_looks_like_another_is_taken(on: On) {
        let app = open(on).await;
        app.user("ada").await;
        let register = async |name: &str| {
            app.post_json("/register", &json!({"username": name, "password": PASSWORD})).await
        };
        let alike = "This name looks like that of another user.";
        // With Cyrillic letters, beside an administrator, a user, and one who has registered.
        register("modern").await.expect(201);
        for name in ["\u{430}dmin", "ad\u{430}", "modem"] {
            let problem = register(name).await.problem(409, "username_taken");
            assert_eq!(problem["detail"], alike, "{name}");
        }
        let same = register("ada").await.problem(409, "username_taken");
        assert_eq!(same["detail"], "Another user has this name.");
        // Administrators see whom they create.
        let body = json!({"username": "ad\u{430}", "password": PASSWORD});
        let second = app.admin().await.post("/admin/users", &body).await.expect(201).json();
        // When both are gone the look is free again.
        register("\u{430}da").await.problem(409, "username_taken");
        let first = app.login("ada", PASSWORD).await.ok()["user"]["id"].clone();
        for id in [&first, &second["id"]] {
            let path = format!("/admin/users/{}", id.as_str().unwrap());
            app.admin().await.delete(&path).await.expect(204);
        }
        register("\u{430}da").await.expect(201);
        register("ada").await.problem(409, "username_taken");
    }

    async fn of_many_who_want_names_that_look_alike_one_gets_one(on: On) {
        let app = open(on).await;
        let names = ["eve", "\u{435}ve", "ev\u{435}", "\u{435}v\u{435}"];
        let bodies = names.map(|name| json!({"username": name, "password": PASSWORD}));
        let asked = bodies.iter().cycle().take(8).map(|body| app.post_json("/register", body));
        let answers = futures_util::future::join_all(asked).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    }

    async fn a_refused_name_is_told_why(on: On) {
        let app = open(on).await;
        for (name, reason) in [
            ("", "a user name is not empty"),
            ("e v e", "a user name cannot have U+0020 in it: it is a space or a line break"),
            ("eve\u{202e}", "a user name cannot have U+202E in it: it cannot be seen"),
            ("eve♥", "a user name cannot have U+2665 in it: it is a symbol"),
        ] {
            let body = json!({"username": name, "password": PASSWORD});
            let problem = app.post_json("/register", &body).await.problem(400, "invalid_request");
            assert_eq!(problem["fields"], json!([{"field": "username", "message": reason}]));
        }
        for name in ["ᏣᎳᎩ", "王鿏", "ΓΙΏΡΓΟΣ"] {
            let body = json!({"username": name, "password": PASSWORD});
            app.post_json("/register", &body).await.expect(201);
        }
        app.login("Γιώργος", PASSWORD).await.ok();
        let same = json!({"username": "Γιώργος", "password": PASSWORD});
        app.post_json("/register", &same).await.problem(409, "username_taken");
    }

    async fn an_address_makes_so_many_accounts_and_then_one_in_each_interval(on: On) {
        let on = on.set("rate_limit.registrations", "3").set("rate_limit.registration_interval", "1m");
        let app = open(on.set("http.trusted_proxies", "127.0.0.0/8")).await;
        let register = async |address: &str, name: &str| {
            let body = json!({"username": name, "password": PASSWORD});
            app.node.send(app.node.post("/register").header("X-Forwarded-For", address).json(&body)).await
        };
        register("192.0.2.1", "eve").await.expect(201);
        register("192.0.2.1", "eve").await.problem(409, "username_taken");
        register("192.0.2.1", "adam").await.expect(201);
        let refused = register("192.0.2.1", "cain").await;
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
        refused.problem(429, "too_many_requests");
        register("192.0.2.2", "cain").await.expect(201);
    }

    async fn of_many_who_want_a_name_one_gets_it(on: On) {
        let app = open(on).await;
        let body = json!({"username": "eve", "password": PASSWORD});
        let answers = futures_util::future::join_all((0..8).map(|_| app.post_json("/register", &body))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    }

    async fn a_new_account_must_make_sense(on: On) {
        let app = open(on).await;
        for (field, body) in [
            ("username", json!({"username": "", "password": PASSWORD})),
            ("username", json!({"username": "e v e", "password": PASSWORD})),
            ("username", json!({"username": "eve\u{202e}", "password": PASSWORD})),
            ("username", json!({"username": "eve\u{5d0}", "password": PASSWORD})),
            ("username", json!({"username": "x".repeat(10_000), "password": PASSWORD})),
            // It could be somebody's id.
            ("username", json!({"username": "01A1FF1D-C100-7122-9A39-B880DB2BD756", "password": PASSWORD})),
            ("username", json!({"username": ["eve"], "password": PASSWORD})),
            ("username", json!({"password": PASSWORD})),
            ("password", json!({"username": "eve"})),
            ("password", json!({"username": "eve", "password": null})),
            ("password", json!({"username": "eve", "password": ""})),
            ("password", json!({"username": "eve", "password": "tab\tand\u{0}null"})),
            ("password", json!({"username": "eve", "password": "x".repeat(1025)})),
            ("roles", json!({"username": "eve", "password": PASSWORD, "roles": ["admin"]})),
            ("attributes", json!({"username": "eve", "password": PASSWORD, "attributes": {}})),
        ] {
            let problem = app.post_json("/register", &body).await.problem(400, "invalid_request");
            assert_eq!(problem["fields"][0]["field"], field, "{body}");
        }
        app.login("eve", PASSWORD).await.problem(401, "invalid_credentials");
        let request = app.node.post("/register").header("Content-Type", "text/plain").body("{}");
        app.node.send(request).await.problem(415, "unsupported_media_type");
        let large = json!({"username": "eve", "password": "x".repeat(70_000)});
        app.post_json("/register", &large).await.problem(413, "payload_too_large");
    }

    async fn a_taken_name_takes_as_long_as_a_free_one(on: On) {
        // So expensive that nothing else counts.
        let app = open(on.set("password.bcrypt_cost", "10")).await;
        let mut took = [Duration::MAX; 2];
        for round in 0..5 {
            for (kind, name) in [(0, format!("eve{round}")), (1, "admin".to_owned())] {
                let body = json!({"username": name, "password": PASSWORD});
                let started = Instant::now();
                let status = app.post_json("/register", &body).await.status;
                took[kind] = took[kind].min(started.elapsed());
                assert_eq!(status, [201, 409][kind]);
            }
        }
        assert!(took[1] > took[0] / 2, "the password was not hashed: {took:?}");
    }
}
