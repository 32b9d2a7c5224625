//! `GET /admin/audit`, and that every administrative call is in it.

use relatch::http::routes;
use relatch_testkit::{Answer, Device, PASSWORD, TestApp};
use serde_json::{Value, json};

/// All records that the query shows, page after page.
async fn read(admin: &Device, query: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/admin/audit?limit=200{query}{cursor}")).await.ok();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

/// The records about one request.
async fn about(admin: &Device, answer: &Answer) -> Vec<Value> {
    let id = answer.header("x-request-id").unwrap();
    let mut records = read(admin, "").await;
    records.extend(read(admin, "&trail=reads").await);
    records.retain(|record| record["request_id"] == id);
    records
}

fn events(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().unwrap()).collect()
}

/// One call of each administrative route, with as little as it can be called with.
async fn call_everything(app: &TestApp, caller: &Device, user: &str) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for (pattern, methods) in routes::table() {
        if !pattern.starts_with("/admin/") {
            continue;
        }
        let path = pattern.replace("{id}", user).replace("{sid}", &caller.session_id);
        for method in methods {
            let request = app.node.request(method.as_str(), &path).bearer_auth(&caller.pair.access);
            let request = if method == "GET" { request } else { request.json(&json!({})) };
            answers.push((format!("{method} {pattern}"), app.node.send(request).await));
        }
    }
    assert!(answers.len() >= 8, "the routes are not found");
    answers
}

on_both_stores! {
    async fn every_administrative_call_leaves_a_record(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let user = app.user("bob").await;
        for (call, answer) in call_everything(&app, &admin, &user).await {
            assert_ne!(answer.status, 401, "{call}");
            let records = about(&admin, &answer).await;
            assert!(!records.is_empty(), "{call} ({}) left no record", answer.status);
            for record in records {
                assert_eq!(record["actor"], json!({"kind": "user", "user": admin.user_id, "session": admin.session_id}), "{call}");
                assert_eq!(record["address"], "127.0.0.1", "{call}");
                assert_eq!(record["user_agent"], "relatch-testkit", "{call}");
            }
        }
    }

    async fn so_does_every_call_of_those_who_are_not_let_in(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        let user = app.user("bob").await;
        let ada = app.sign_in("ada").await;
        for (call, answer) in call_everything(&app, &ada, &user).await {
            let records = about(&admin, &answer).await;
            assert_eq!(events(&records), ["admin_call"], "{call}");
            let (method, route) = call.split_once(' ').unwrap();
            assert_eq!(records[0]["details"], json!({"method": method, "route": route, "status": 403}), "{call}");
            assert_eq!(records[0]["actor"]["user"], ada.user_id, "{call}");
            assert_eq!(records[0].get("user"), route.contains("{id}").then(|| json!(user)).as_ref(), "{call}");
        }
    }

    async fn whoever_is_refused_pushes_nothing_out(on: On) {
        // Redis drops records by the hundred.
        let app = on.set("audit.max_records", "100").start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let ada = app.sign_in("ada").await;
        for _ in 0..20 {
            let calls = (0..20).map(|_| ada.get("/admin/users"));
            for answer in futures_util::future::join_all(calls).await {
                answer.problem(403, "insufficient_scope");
            }
        }
        let created = read(&admin, &format!("&event=user_created&user={id}")).await;
        assert_eq!(events(&created), ["user_created"]);
        let refused = read(&admin, &format!("&event=admin_call&actor={id}")).await;
        assert!((100..=300).contains(&refused.len()), "{}", refused.len());
    }

    async fn what_administrators_read_pushes_nothing_out(on: On) {
        // Redis drops records by the hundred.
        let app = on.set("audit.max_records", "100").set("rate_limit.enabled", "false").start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        for _ in 0..20 {
            let calls = (0..20).map(|_| admin.get("/admin/users"));
            for answer in futures_util::future::join_all(calls).await {
                answer.ok();
            }
        }
        assert_eq!(events(&read(&admin, &format!("&user={id}")).await), ["user_created"]);
        let reads = read(&admin, &format!("&trail=reads&actor={}", admin.user_id)).await;
        assert!((100..=300).contains(&reads.len()), "{}", reads.len());
        assert!(events(&reads).iter().all(|event| *event == "admin_call"));
        assert_eq!(events(&read(&admin, "&event=admin_call").await), Vec::<&str>::new());
        admin.get("/admin/audit?trail=writes").await.problem(400, "invalid_request");
    }

    async fn strangers_leave_none(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let answer = app.node.send(app.node.get("/admin/users")).await;
        assert_eq!(about(&admin, &answer).await, Vec::<Value>::new());
        let answer = app.node.send(app.node.get("/admin/users").bearer_auth("made.up.token")).await;
        assert_eq!(about(&admin, &answer).await, Vec::<Value>::new());
    }

    async fn an_act_is_told_once_and_one_without_effect_as_a_call(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let ada = app.sign_in("ada").await;
        app.sign_in("ada").await;
        let body = json!({"username": "ada", "reason": "lost phone"});
        let did = admin.post("/admin/revoke", &body).await.expect(200);
        let records = about(&admin, &did).await;
        assert_eq!(events(&records), ["session_ended", "session_ended"]);
        assert!(records.iter().any(|record| record["session"] == ada.session_id));
        assert!(records.iter().all(|record| record["user"] == id && record["details"] == json!({"reason": "revoked_by_admin"})));

        let did_nothing = admin.post("/admin/revoke", &body).await.expect(200);
        let records = about(&admin, &did_nothing).await;
        assert_eq!(events(&records), ["admin_call"]);
        assert_eq!(records[0]["details"], json!({"method": "POST", "route": "/admin/revoke", "status": 200}));

        let refused = admin.post("/admin/users", &json!({"username": "ada", "password": PASSWORD})).await.expect(409);
        assert_eq!(about(&admin, &refused).await[0]["details"]["status"], 409);
        let created = admin.post("/admin/users", &json!({"username": "eve", "password": PASSWORD})).await.expect(201);
        assert_eq!(events(&about(&admin, &created).await), ["user_created"]);
        let cut = admin.post("/admin/revoke", &json!({"signed_in_before": "2020-01-01T00:00:00.5Z"})).await.expect(202);
        let records = about(&admin, &cut).await;
        assert_eq!(events(&records), ["cutoff_raised"]);
        assert_eq!(records[0]["details"], json!({"cutoff": "2020-01-01T00:00:00.500Z"}));
    }

    async fn both_trails_are_shown_the_latest_first(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        app.login("ada", "wrong").await.problem(401, "invalid_credentials");
        let ada = app.sign_in("ada").await;
        app.login("nobody", "wrong").await.problem(401, "invalid_credentials");
        ada.sign_out().await.expect(204);

        let page = admin.get("/admin/audit").await.ok();
        let items = page["items"].as_array().unwrap();
        let expected = ["session_ended", "sign_in_failed", "signed_in", "sign_in_failed", "user_created"];
        assert_eq!(events(items)[..5], expected, "{page}");
        assert!(items.windows(2).all(|pair| pair[0]["at"].as_str() >= pair[1]["at"].as_str()), "{page}");
        let at = items[0]["at"].as_str().unwrap();
        assert!(at.len() == "2026-11-21T10:33:51.204Z".len() && at.ends_with('Z'), "{at}");
        assert_eq!(items[0]["actor"], json!({"kind": "user", "user": id, "session": ada.session_id}));
        assert_eq!(items[1]["actor"], json!({"kind": "anonymous"}));
        assert_eq!(items[1]["details"], json!({"reason": "unknown_user"}));
        assert!(items[1].get("user").is_none());
        assert_eq!((&items[3]["user"], &items[3]["details"]["reason"]), (&json!(id), &json!("wrong_password")));
        // The first administrator was made by the server.
        let oldest = read(&admin, "").await.pop().unwrap();
        assert_eq!((&oldest["event"], &oldest["actor"]), (&json!("user_created"), &json!({"kind": "server"})));
    }

    async fn filters_combine(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let ada_id = app.user("ada").await;
        let bob_id = app.user("bob").await;
        let ada = app.sign_in("ada").await;
        app.sign_in("bob").await;
        app.login("bob", "wrong").await.problem(401, "invalid_credentials");
        ada.sign_out().await.expect(204);
        let bob = app.sign_in("bob").await;
        admin.post("/admin/revoke", &json!({"username": "bob"})).await.ok();

        let shown = async |query: &str| {
            let records = read(&admin, query).await;
            events(&records).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(shown("&event=sign_in_failed").await, ["sign_in_failed"]);
        assert_eq!(shown(&format!("&user={ada_id}")).await, ["session_ended", "signed_in", "user_created"]);
        assert_eq!(shown(&format!("&user={ada_id}&event=signed_in")).await, ["signed_in"]);
        assert_eq!(shown(&format!("&actor={ada_id}")).await, ["session_ended", "signed_in"]);
        assert_eq!(shown(&format!("&session={}", bob.session_id)).await, ["session_ended", "signed_in"]);
        assert_eq!(shown(&format!("&user={bob_id}&actor={}", admin.user_id)).await, ["session_ended", "session_ended", "user_created"]);
        assert_eq!(shown(&format!("&user={bob_id}&actor=anonymous")).await, ["sign_in_failed"]);
        assert_eq!(shown("&actor=server").await, ["user_created"]);
        assert_eq!(shown("&actor=operator").await, Vec::<String>::new());
        assert_eq!(shown(&format!("&user={ada_id}&session={}", bob.session_id)).await, Vec::<String>::new());

        let all = read(&admin, &format!("&user={bob_id}")).await;
        let at = |n: usize| all[n]["at"].as_str().unwrap();
        let failed = all.iter().position(|record| record["event"] == "sign_in_failed").unwrap();
        let since = shown(&format!("&user={bob_id}&since={}", at(failed))).await;
        assert!(since.contains(&"sign_in_failed".to_owned()) && !since.contains(&"user_created".to_owned()));
        let until = shown(&format!("&user={bob_id}&until={}", at(failed))).await;
        assert!(!until.contains(&"sign_in_failed".to_owned()) && until.contains(&"user_created".to_owned()));
        assert_eq!(since.len() + until.len(), all.len());
    }

    async fn pages_show_everything_once(on: On) {
        let app = on.set("rate_limit.enabled", "false").start().await;
        let admin = app.admin().await;
        for n in 0..12 {
            app.user(&format!("user{n}")).await;
            app.login("user0", "wrong").await.problem(401, "invalid_credentials");
        }
        let whole = read(&admin, "&event=user_created").await;
        assert_eq!(whole.len(), 13);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        // Each page leaves a record of its own, which disturbs nothing.
        loop {
            let page = admin.get(&format!("/admin/audit?limit=3&event=user_created{cursor}")).await.ok();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            seen.extend(items.iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, whole);
    }

    async fn what_makes_no_sense_is_refused(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for (field, value) in [
            ("event", "signed-in"), ("event", ""), ("actor", "nobody"), ("actor", ""), ("user", "ada"), ("user", ""),
            ("session", "x"), ("since", "yesterday"), ("since", "2026-11-21"), ("until", "1700000000"), ("cursor", "x"),
            ("cursor", ""), ("cursor", "AAAA"), ("since", "2026-11-21T10:33:51+1:00"),
        ] {
            let problem = admin.get(&format!("/admin/audit?{field}={value}")).await.problem(400, "invalid_request");
            assert_eq!(problem["fields"][0]["field"], field, "{field}={value}");
        }
        let backwards = "since=2026-11-21T10:00:00Z&until=2026-11-21T09:00:00Z";
        for query in [backwards, "limit=0", "limit=201", "limit=x", "evnt=signed_in", "event=signed_in&event=signed_in"] {
            admin.get(&format!("/admin/audit?{query}")).await.problem(400, "invalid_request");
        }
        let coded = admin.get("/admin/audit?since=2026-11-21T10:33:51%2B01:00").await.ok();
        // A plus that is not encoded arrives as a space.
        for bare in ["since=2026-11-21T10:33:51+01:00", "since=2026-11-21T10:33:51%2001:00", "since=2026-11-21t09:33:51.0z"] {
            assert_eq!(admin.get(&format!("/admin/audit?{bare}")).await.ok(), coded, "{bare}");
        }
        admin.get("/admin/audit?until=2026-11-21T10:33:51+01:00").await.ok();
        let ends = ["A".repeat(43), "_".repeat(42) + "8"];
        for cursor in ends {
            admin.get(&format!("/admin/audit?cursor={cursor}")).await.ok();
        }
    }
}
