//! `/admin/users`: search, change, delete.

use relatch_testkit::{Device, PASSWORD, TestApp};
use serde_json::json;

const NEW_PASSWORD: &str = "another walk along the pier";
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// The names that a search finds, page by page.
async fn found(admin: &Device, query: &str, limit: usize) -> Vec<String> {
    let query = query.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let body = admin.get(&format!("/admin/users?query={query}&limit={limit}{cursor}")).await.ok();
        let items = body["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{body}");
        names.extend(items.iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        match body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return names,
        }
    }
}

fn path(id: &str) -> String {
    format!("/admin/users/{id}")
}

async fn roles_in_token(device: &Device) -> serde_json::Value {
    device.check().await.ok()["user"]["roles"].clone()
}

/// Somebody with the role `admin` beside the first administrator.
async fn second_admin(app: &TestApp) -> Device {
    let body = json!({"username": "boss", "password": PASSWORD, "roles": ["admin", "user"]});
    app.admin().await.post("/admin/users", &body).await.expect(201);
    app.sign_in("boss").await
}

on_both_stores! {
    async fn a_search_finds_names_by_their_beginning(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for name in ["ada", "ada.l", "adam", "bob", "ädel", "<b>", "100%", "a_b", "אבגד", "l·l", "ﾊﾝ"] {
            app.user(name).await;
        }
        for (query, names) in [
            ("ad", vec!["ada", "ada.l", "adam", "admin"]),
            ("ADA", vec!["ada", "ada.l", "adam"]),
            ("ａｄａ", vec!["ada", "ada.l", "adam"]),
            ("ada.l", vec!["ada.l"]),
            ("A\u{308}", vec!["ädel"]),
            ("<", vec!["<b>"]),
            ("<B>", vec!["<b>"]),
            ("10", vec!["100%"]),
            ("100%", vec!["100%"]),
            ("a_", vec!["a_b"]),
            ("אב", vec!["אבגד"]),
            ("L·", vec!["l·l"]),
            ("ハ", vec!["ハン"]),
            // No wildcards, no markup, nothing that could be a name later on.
            ("*", vec![]),
            ("a?", vec![]),
            ("%", vec![]),
            ("[a", vec![]),
            ("da", vec![]),
            ("<script>alert(1)</script>", vec![]),
            ("ada\u{202e}", vec![]),
            ("\u{200f}ada", vec![]),
            ("ada\0", vec![]),
            ("ada\n", vec![]),
            (" ada", vec![]),
            ("\u{ff}\u{fffd}", vec![]),
        ] {
            assert_eq!(found(&admin, query, 3).await, names, "{query:?}");
        }
        assert_eq!(found(&admin, "", 5).await.len(), 12);
        assert_eq!(found(&admin, &"a".repeat(2000), 5).await, Vec::<String>::new());
        let long = format!("/admin/users?query={}", "a".repeat(10_000));
        admin.get(&long).await.problem(414, "uri_too_long");
        admin.get("/admin/users?query=%ff%fe").await.ok();
    }

    async fn a_search_in_pages_gives_everyone_once(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let mut names: Vec<_> = (0..7).map(|n| format!("user-{n}")).collect();
        for name in &names {
            app.user(name).await;
        }
        app.user("usa").await;
        app.user("uses").await;
        for limit in [1, 2, 3, 7, 200] {
            assert_eq!(found(&admin, "USER", limit).await, names, "{limit}");
        }
        names.insert(0, "usa".to_owned());
        names.push("uses".to_owned());
        assert_eq!(found(&admin, "us", 4).await, names);
    }

    async fn a_search_finds_a_user_by_id(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        app.user("bob").await;
        assert_eq!(found(&admin, &id, 50).await, ["ada"]);
        assert_eq!(found(&admin, &id.to_uppercase(), 50).await, ["ada"]);
        assert_eq!(found(&admin, &id[..35], 50).await, Vec::<String>::new());
        assert_eq!(found(&admin, UNKNOWN, 50).await, Vec::<String>::new());
        // No name looks like an id, or whoever has it could pass for somebody else.
        let body = json!({"username": UNKNOWN, "password": PASSWORD});
        admin.post("/admin/users", &body).await.problem(400, "invalid_request");
    }

    async fn the_list_takes_no_other_parameters(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for wrong in ["name=ada", "query=a&query=b", "limit=0", "limit=201", "limit=x", "cursor=x", "cursor="] {
            admin.get(&format!("/admin/users?{wrong}")).await.problem(400, "invalid_request");
        }
        let id = app.user("ada").await;
        admin.get(&format!("{}?full=1", path(&id))).await.problem(400, "invalid_request");
        admin.delete(&format!("{}?force=1", path(&id))).await.problem(400, "invalid_request");
        let body = json!({"disabled": true});
        admin.patch(&format!("{}?force=1", path(&id)), &body).await.problem(400, "invalid_request");
        assert_eq!(admin.get(&path(&id)).await.ok()["disabled"], false);
    }

    async fn a_change_changes_what_it_names_and_no_more(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let body = json!({"username": "ada", "password": PASSWORD, "roles": ["user"], "attributes": {"tenant": "acme"}});
        let before = admin.post("/admin/users", &body).await.expect(201).json();
        let path = path(before["id"].as_str().unwrap());
        let mut device = app.sign_in("ada").await;

        let changed = admin.patch(&path, &json!({"roles": ["billing", "user", "billing"]})).await.expect(200);
        assert_eq!(changed.header("cache-control"), Some("no-store"));
        let mut expected = before;
        expected["roles"] = json!(["billing", "user"]);
        assert_eq!(changed.json(), expected);
        assert_eq!(admin.get(&path).await.ok(), expected);

        expected["roles"] = json!([]);
        expected["attributes"] = json!({});
        let changed = admin.patch(&path, &json!({"roles": [], "attributes": null, "disabled": false})).await.ok();
        assert_eq!(changed, expected);
        device.refresh().await.ok();
        app.login("ada", PASSWORD).await.ok();
    }

    async fn a_change_must_make_sense(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let before = admin.get(&path(&id)).await.ok();
        for body in [
            json!({}),
            json!(null),
            json!([]),
            json!([["roles", []]]),
            json!({"roles": null}),
            json!({"disabled": null}),
            json!({"password": null}),
            json!({"disabled": "true"}),
            json!({"disabled": 1}),
            json!({"roles": "admin"}),
            json!({"roles": ["Admin"]}),
            json!({"roles": [""]}),
            json!({"roles": [7]}),
            json!({"roles": (0..33).map(|n| format!("r{n}")).collect::<Vec<_>>()}),
            json!({"password": "short"}),
            json!({"password": 12_345_678}),
            json!({"password": "x".repeat(2000)}),
            json!({"username": "eve"}),
            json!({"id": id}),
            json!({"created_at": "2026-11-21T10:33:51Z"}),
            json!({"disabled": true, "admin": true}),
            // All or nothing.
            json!({"disabled": true, "password": "short"}),
            json!({"disabled": true, "attributes": {"a b": 1}}),
        ] {
            admin.patch(&path(&id), &body).await.problem(400, "invalid_request");
        }
        let request = admin.node.request("PATCH", &path(&id)).bearer_auth(&admin.pair.access);
        let merge_patch = request.header("Content-Type", "application/merge-patch+json").body(r#"{"disabled":true}"#);
        admin.node.send(merge_patch).await.problem(415, "unsupported_media_type");
        assert_eq!(admin.get(&path(&id)).await.ok(), before);
        app.login("ada", PASSWORD).await.ok();
    }

    async fn whoever_does_not_exist_is_not_found(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for id in [UNKNOWN, "nonsense", "%00", "..%2fx", "{id}", &"a".repeat(2000)] {
            admin.get(&path(id)).await.problem(404, "not_found");
            admin.delete(&path(id)).await.problem(404, "not_found");
            admin.patch(&path(id), &json!({"disabled": true})).await.problem(404, "not_found");
            admin.patch(&path(id), &json!({"password": NEW_PASSWORD})).await.problem(404, "not_found");
        }
    }

    async fn a_disabled_user_is_out_at_once(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let mut phone = app.sign_in("ada").await;
        let mut laptop = app.sign_in("ada").await;
        assert_eq!(admin.patch(&path(&id), &json!({"disabled": true})).await.ok()["disabled"], true);

        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        phone.refresh().await.problem(401, "user_disabled");
        phone.get("/auth/check?live=true").await.problem(401, "user_disabled");
        phone.get("/sessions").await.problem(401, "user_disabled");
        let sessions = admin.get(&format!("{}/sessions", path(&id))).await.ok();
        assert_eq!(sessions["items"], json!([]));
        // Once more is as good.
        admin.patch(&path(&id), &json!({"disabled": true})).await.ok();

        assert_eq!(admin.patch(&path(&id), &json!({"disabled": false})).await.ok()["disabled"], false);
        for device in [&mut phone, &mut laptop] {
            let problem = device.refresh().await.problem(401, "session_revoked");
            assert_eq!(problem["reason"], "user_disabled");
        }
        let live = phone.get("/auth/check?live=true").await.problem(401, "session_revoked");
        assert_eq!(live["reason"], "user_disabled");
        app.sign_in("ada").await.refresh().await.ok();
    }

    async fn a_user_can_be_created_disabled(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let body = json!({"username": "ada", "password": PASSWORD, "disabled": true});
        let created = admin.post("/admin/users", &body).await.expect(201).json();
        assert_eq!(created["disabled"], true);
        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        let path = path(created["id"].as_str().unwrap());
        assert_eq!(admin.get(&path).await.ok(), created);
        admin.patch(&path, &json!({"disabled": false})).await.ok();
        app.sign_in("ada").await.refresh().await.ok();
    }

    async fn a_new_password_ends_all_sessions(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let answer = admin.patch(&path(&id), &json!({"password": NEW_PASSWORD})).await.expect(200);
        assert!(!answer.text.contains("pier") && !answer.text.contains("hash"), "{}", answer.text);
        let problem = device.refresh().await.problem(401, "session_revoked");
        assert_eq!(problem["reason"], "password_changed");
        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        app.login("ada", NEW_PASSWORD).await.ok();
    }

    async fn disabled_is_the_reason_if_the_password_changes_too(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        admin.patch(&path(&id), &json!({"password": NEW_PASSWORD, "disabled": true})).await.ok();
        admin.patch(&path(&id), &json!({"disabled": false})).await.ok();
        assert_eq!(device.refresh().await.problem(401, "session_revoked")["reason"], "user_disabled");
        app.login("ada", NEW_PASSWORD).await.ok();
    }

    async fn a_deleted_user_is_gone_and_the_name_is_free(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let answer = admin.delete(&path(&id)).await.expect(204);
        assert_eq!(answer.text, "");

        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        assert_eq!(device.send_refresh(None).await.status, 401);
        device.get("/auth/check?live=true").await.problem(401, "session_revoked");
        device.get("/sessions").await.problem(401, "session_revoked");
        admin.get(&path(&id)).await.problem(404, "not_found");
        admin.delete(&path(&id)).await.expect(204);
        admin.delete(&path("01a1fdab-6a07-786f-997e-d0ae0e2646b6")).await.problem(404, "not_found");
        admin.patch(&path(&id), &json!({"disabled": true})).await.problem(404, "not_found");
        admin.get(&format!("{}/sessions", path(&id))).await.problem(404, "not_found");
        assert_eq!(found(&admin, "ada", 50).await, Vec::<String>::new());

        let again = app.user("Ada").await;
        assert_ne!(again, id);
        app.sign_in("ada").await.refresh().await.ok();
        assert_eq!(device.refresh().await.status, 401);
        admin.get(&path(&id)).await.problem(404, "not_found");
    }

    async fn a_role_that_is_taken_away_is_gone_at_once_where_the_store_is_asked(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let mut boss = second_admin(&app).await;
        boss.get("/admin/users").await.ok();
        admin.patch(&path(&boss.user_id), &json!({"roles": ["user"]})).await.ok();

        boss.get("/admin/users").await.problem(403, "insufficient_scope");
        boss.patch(&path(&boss.user_id), &json!({"roles": ["admin"]})).await.problem(403, "insufficient_scope");
        assert_eq!(roles_in_token(&boss).await, json!(["admin", "user"]), "a token says what it was issued with");
        boss.refresh().await.ok();
        assert_eq!(roles_in_token(&boss).await, json!(["user"]));
        boss.get("/admin/users").await.problem(403, "insufficient_scope");
    }

    async fn a_role_that_is_given_is_in_the_next_token(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        ada.get("/admin/users").await.problem(403, "insufficient_scope");
        admin.patch(&path(&id), &json!({"roles": ["admin", "user"]})).await.ok();
        ada.get("/admin/users").await.ok();
        assert_eq!(roles_in_token(&ada).await, json!(["user"]));
        ada.refresh().await.ok();
        assert_eq!(roles_in_token(&ada).await, json!(["admin", "user"]));
    }

    async fn of_changes_at_the_same_time_each_holds_in_what_it_names(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let path = path(&id);
        for round in 0..10 {
            let (disabled, role) = (json!({"disabled": round % 2 == 0}), format!("role-{round}"));
            let roles = json!({"roles": [role]});
            let answers = tokio::join!(admin.patch(&path, &disabled), admin.patch(&path, &roles));
            assert_eq!((answers.0.status, answers.1.status), (200, 200), "{answers:?}");
            let user = admin.get(&path).await.ok();
            assert_eq!((&user["disabled"], &user["roles"]), (&disabled["disabled"], &roles["roles"]));
        }
        // Of two that name the same field, the later one holds, whole.
        let (one, other) = (json!({"roles": ["one", "a"]}), json!({"roles": ["other", "b"]}));
        tokio::join!(admin.patch(&path, &one), admin.patch(&path, &other));
        let roles = admin.get(&path).await.ok()["roles"].clone();
        assert!(roles == json!(["a", "one"]) || roles == json!(["b", "other"]), "{roles}");
    }

    async fn an_administrator_may_lock_themself_out(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let mut boss = second_admin(&app).await;
        let answer = boss.patch(&path(&boss.user_id), &json!({"disabled": true})).await.ok();
        assert_eq!(answer["disabled"], true);
        boss.get("/admin/users").await.problem(401, "user_disabled");
        admin.patch(&path(&boss.user_id), &json!({"disabled": false})).await.ok();
        boss = app.sign_in("boss").await;
        boss.delete(&path(&boss.user_id)).await.expect(204);
        boss.get("/admin/users").await.problem(401, "session_revoked");
    }

    async fn only_administrators_change_users(on: On) {
        let app = on.start().await;
        let (ada, bob) = (app.user("ada").await, app.user("bob").await);
        let device = app.sign_in("ada").await;
        for id in [&ada, &bob, &"nonsense".to_owned()] {
            let path = path(id);
            for method in ["GET", "PATCH", "DELETE"] {
                let request = || app.node.request(method, &path).json(&json!({"roles": ["admin"]}));
                app.node.send(request()).await.problem(401, "authentication_required");
                let as_ada = request().bearer_auth(&device.pair.access);
                app.node.send(as_ada).await.problem(403, "insufficient_scope");
            }
        }
        let admin = app.admin().await;
        assert_eq!(admin.get(&path(&ada)).await.ok()["roles"], json!(["user"]));
        assert_eq!(admin.get(&path(&bob)).await.ok()["disabled"], false);
        let answer = app.node.send(app.node.request("PUT", &path(&ada))).await;
        assert_eq!(answer.header("allow"), Some("HEAD, GET, PATCH, DELETE, OPTIONS"));
        answer.problem(405, "method_not_allowed");
    }
}

/// A Redis that has to wait for a replica, and has none.
#[tokio::test]
async fn what_no_replica_has_heard_of_is_carried_out_and_answered_503() {
    let app = relatch_testkit::On::redis().set("store.sync_replicas", "1").start().await;
    let admin = app.admin().await;
    let id = app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    let path = path(&id);
    let not_durable = |answer: relatch_testkit::Answer| {
        let problem = answer.problem(503, "temporarily_unavailable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("carried out") && detail.contains("Repeat"), "{detail}");
    };
    not_durable(admin.delete(&format!("{path}/sessions/{}", device.session_id)).await);
    assert_eq!(device.refresh().await.problem(401, "session_revoked")["reason"], "revoked_by_admin");
    device = app.sign_in("ada").await;
    not_durable(admin.delete(&format!("{path}/sessions")).await);
    assert_eq!(device.refresh().await.problem(401, "session_revoked")["reason"], "revoked_by_admin");
    not_durable(admin.patch(&path, &json!({"roles": []})).await);
    not_durable(admin.patch(&path, &json!({"disabled": true})).await);
    not_durable(admin.patch(&path, &json!({"disabled": true})).await);
    let user = admin.get(&path).await.ok();
    assert_eq!((&user["disabled"], &user["roles"]), (&json!(true), &json!([])));
    not_durable(admin.delete(&path).await);
    not_durable(admin.delete(&path).await);
    admin.get(&path).await.problem(404, "not_found");
    app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
}
