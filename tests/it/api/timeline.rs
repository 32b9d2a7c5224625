//! `GET /sessions/{id}/timeline` and `GET /admin/users/{id}/timeline`.

use relatch_testkit::{Device, PASSWORD, TestApp};
use serde_json::{Value, json};

fn timeline_of(device: &Device) -> String {
    format!("/sessions/{}/timeline", device.session_id)
}

/// The items of a timeline that fits on a page.
#[track_caller]
fn items(page: &Value) -> Vec<Value> {
    assert_eq!(page["next_cursor"], json!(null));
    page["items"].as_array().unwrap().clone()
}

async fn read(reader: &Device, path: &str) -> Vec<Value> {
    items(&reader.get(path).await.ok())
}

/// The names of the events, with the reason where there is one.
fn events(items: &[Value]) -> Vec<String> {
    let event = |item: &Value| {
        let reason = item["reason"].as_str().map(|reason| format!(" {reason}"));
        format!("{}{}", item["event"].as_str().unwrap(), reason.unwrap_or_default())
    };
    items.iter().map(event).collect()
}

/// Ada's phone, used twice and then revoked by an administrator; and her laptop, which reads about it.
async fn a_revoked_phone(app: &TestApp) -> (Device, Device) {
    app.user("ada").await;
    let laptop = app.sign_in_as("ada", "laptop").await;
    let mut phone = app.sign_in_as("ada", "phone").await;
    for _ in 0..2 {
        app.clock().advance_secs(30);
        phone.refresh().await.ok();
    }
    app.clock().advance_secs(30);
    let body = json!({"session_id": phone.session_id, "reason": "lost phone"});
    app.admin().await.post("/admin/revoke", &body).await.ok();
    (laptop, phone)
}

on_both_stores! {
    async fn a_session_tells_what_happened_to_it_newest_first(on: On) {
        let app = on.with_clock().start().await;
        let (laptop, phone) = a_revoked_phone(&app).await;
        let told = read(&laptop, &timeline_of(&phone)).await;
        let id = &phone.session_id;
        assert_eq!(
            json!(told),
            json!([
                {"at": app.clock().rfc3339(0), "event": "ended", "session_id": id, "reason": "revoked_by_admin"},
                {"at": app.clock().rfc3339(-30), "event": "refreshed", "session_id": id, "generation": 2, "count": 2},
                {"at": app.clock().rfc3339(-90), "event": "signed_in", "session_id": id, "generation": 0,
                 "device_name": "phone", "address": "127.0.0.1", "user_agent": "relatch-testkit"},
            ])
        );
        let told = read(&laptop, &timeline_of(&laptop)).await;
        assert_eq!(events(&told), ["signed_in"]);
    }

    async fn what_an_administrator_wrote_is_for_administrators(on: On) {
        let app = on.with_clock().start().await;
        let (laptop, phone) = a_revoked_phone(&app).await;
        let page = laptop.get(&timeline_of(&phone)).await.expect(200);
        assert!(!page.text.contains("lost phone") && !page.text.contains("note"), "{}", page.text);
        let told = read(&app.admin().await, &timeline_of(&phone)).await;
        assert_eq!(told[0]["note"], "lost phone");
        assert_eq!((&told[0]["address"], &told[0]["user_agent"]), (&json!("127.0.0.1"), &json!("relatch-testkit")));
    }

    async fn where_an_administrator_sits_is_for_administrators(on: On) {
        let app = on.with_clock().start().await;
        let ada = app.user("ada").await;
        let admin = app.admin().await;
        let path = format!("/admin/users/{ada}");
        let ended_by = async |device: &Device, reader: &Device| {
            let told = read(reader, &timeline_of(device)).await;
            (told[0]["reason"].clone(), told[0].get("address").is_some(), told[0].get("user_agent").is_some())
        };
        let changed = app.sign_in("ada").await;
        admin.patch(&path, &json!({"password": "a long walk on the pier"})).await.ok();
        let disabled = Device::signed_in(&app.node, &app.login("ada", "a long walk on the pier").await.ok());
        admin.patch(&path, &json!({"disabled": true})).await.ok();
        admin.patch(&path, &json!({"disabled": false, "password": PASSWORD})).await.ok();
        let cut = app.sign_in("ada").await;
        app.clock().advance_secs(1);
        admin.post("/admin/revoke", &json!({"signed_in_before": app.clock().rfc3339(0)})).await.expect(202);
        let admin = app.sign_in("admin").await;
        let reader = app.sign_in("ada").await;
        // The sweep writes the end down.
        while read(&admin, &timeline_of(&cut)).await.len() < 2 {
            tokio::task::yield_now().await;
        }
        for (device, reason) in
            [(&changed, "password_changed"), (&disabled, "user_disabled"), (&cut, "signed_in_before")]
        {
            assert_eq!(ended_by(device, &reader).await, (json!(reason), false, false));
            assert_eq!(ended_by(device, &admin).await, (json!(reason), true, true));
        }
        // Her own doing she is told of, though the reason can be the same.
        let other = app.sign_in("ada").await;
        let change = json!({"current_password": PASSWORD, "new_password": "tangled fjords of norway"});
        reader.put("/password", &change).await.ok();
        assert_eq!(ended_by(&other, &reader).await, (json!("password_changed"), true, true));
    }

    async fn each_end_has_its_reason(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let reader = app.sign_in("ada").await;
        let signed_out = app.sign_in("ada").await;
        signed_out.sign_out().await.expect(204);
        let revoked = app.sign_in("ada").await;
        reader.delete(&format!("/sessions/{}", revoked.session_id)).await.expect(204);
        let mut robbed = app.sign_in("ada").await;
        let thief = robbed.clone();
        robbed.refresh().await.ok();
        app.clock().advance_secs(60);
        thief.send_refresh(None).await.problem(401, "refresh_token_reused");
        for (device, told) in [
            (&signed_out, &["ended signed_out", "signed_in"][..]),
            (&revoked, &["ended revoked_by_user", "signed_in"]),
            (&robbed, &["ended reuse", "refreshed", "signed_in"]),
        ] {
            assert_eq!(events(&read(&reader, &timeline_of(device)).await), told);
        }
        // From where the thief came stands in the end.
        let told = read(&reader, &timeline_of(&robbed)).await;
        assert_eq!(told[0]["address"], "127.0.0.1");
    }

    async fn a_session_that_missed_a_deadline_says_which(on: On) {
        let app = on.with_clock().set("refresh_token.idle_ttl", "1h").set("refresh_token.absolute_ttl", "2h").start().await;
        app.user("ada").await;
        let idle = app.sign_in("ada").await;
        let mut worn = app.sign_in("ada").await;
        for _ in 0..4 {
            app.clock().advance_secs(29 * 60);
            worn.refresh().await.ok();
        }
        app.clock().advance_secs(4 * 60);
        let reader = app.sign_in("ada").await;
        let told = read(&reader, &timeline_of(&idle)).await;
        assert_eq!(events(&told), ["expired idle", "signed_in"]);
        assert_eq!(told[0]["at"], app.clock().rfc3339(-3600));
        let told = read(&reader, &timeline_of(&worn)).await;
        assert_eq!(events(&told), ["expired absolute", "refreshed", "signed_in"]);
        assert_eq!(told[0]["at"], app.clock().rfc3339(0));
    }

    async fn only_its_user_and_administrators_read_a_timeline(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        let ada = app.sign_in("ada").await;
        let bob = app.sign_in("bob").await;
        bob.get(&timeline_of(&ada)).await.problem(404, "not_found");
        app.admin().await.get(&timeline_of(&ada)).await.ok();
        app.node.send(app.node.get(&timeline_of(&ada))).await.problem(401, "authentication_required");
        bob.get(&format!("/admin/users/{}/timeline", ada.user_id)).await.problem(403, "insufficient_scope");
        bob.get(&format!("/admin/users/{}/timeline", bob.user_id)).await.problem(403, "insufficient_scope");
        let path = format!("/admin/users/{}/timeline", ada.user_id);
        app.node.send(app.node.get(&path)).await.problem(401, "authentication_required");
        ada.sign_out().await.expect(204);
        ada.get(&timeline_of(&ada)).await.problem(401, "session_revoked");
    }

    async fn sessions_and_users_that_are_not_there_are_not_found(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        let admin = app.admin().await;
        // The user is one, the session is none.
        let nobody = format!("{}AAAAAAAAAAAA", &ada.session_id[..31]);
        for id in ["nonsense", "%00", "..%2f", &nobody] {
            for reader in [&ada, &admin] {
                reader.get(&format!("/sessions/{id}/timeline")).await.problem(404, "not_found");
            }
        }
        for id in ["nonsense", "%00", "00000000-0000-4000-8000-000000000000"] {
            admin.get(&format!("/admin/users/{id}/timeline")).await.problem(404, "not_found");
        }
    }

    async fn a_deleted_user_has_no_timeline(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        let admin = app.admin().await;
        admin.delete(&format!("/admin/users/{}", ada.user_id)).await.expect(204);
        admin.get(&timeline_of(&ada)).await.problem(404, "not_found");
        admin.get(&format!("/admin/users/{}/timeline", ada.user_id)).await.problem(404, "not_found");
    }

    async fn the_end_by_a_change_of_password_or_account_says_so(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let (reader, other) = (app.sign_in("ada").await, app.sign_in("ada").await);
        let change = json!({"current_password": PASSWORD, "new_password": "a long walk on the pier"});
        reader.put("/password", &change).await.ok();
        assert_eq!(events(&read(&reader, &timeline_of(&other)).await), ["ended password_changed", "signed_in"]);
        let admin = app.admin().await;
        let path = format!("/admin/users/{}", reader.user_id);
        admin.patch(&path, &json!({"disabled": true})).await.ok();
        assert_eq!(events(&read(&admin, &timeline_of(&reader)).await), ["ended user_disabled", "signed_in"]);
    }

    async fn the_sessions_of_a_user_are_told_as_one_story(on: On) {
        let app = on.with_clock().start().await;
        let (laptop, phone) = a_revoked_phone(&app).await;
        app.user("bob").await;
        app.sign_in("bob").await;
        app.clock().advance_secs(1);
        laptop.sign_out().await.expect(204);
        let path = format!("/admin/users/{}/timeline", laptop.user_id);
        let told = read(&app.admin().await, &path).await;
        let mut story: Vec<_> = events(&told).into_iter().zip(told.iter().map(|item| item["session_id"].clone())).collect();
        assert_eq!(told[1]["note"], "lost phone");
        // The two sign-ins are of the same second.
        story[3..].sort_by_key(|(_, session)| *session != phone.session_id);
        let of = |event: &str, device: &Device| (event.to_owned(), json!(device.session_id));
        assert_eq!(
            story,
            [
                of("ended signed_out", &laptop),
                of("ended revoked_by_admin", &phone),
                of("refreshed", &phone),
                of("signed_in", &phone),
                of("signed_in", &laptop),
            ]
        );
    }

    async fn a_timeline_comes_in_pages(on: On) {
        let app = on.with_clock().start().await;
        let id = app.user("ada").await;
        for _ in 0..3 {
            let mut device = app.sign_in("ada").await;
            device.refresh().await.ok();
            device.sign_out().await.expect(204);
        }
        let admin = app.admin().await;
        let whole = read(&admin, &format!("/admin/users/{id}/timeline")).await;
        assert_eq!(whole.len(), 9);
        let mut seen = Vec::new();
        let mut path = format!("/admin/users/{id}/timeline?limit=2");
        loop {
            let page = admin.get(&path).await.ok();
            let on_page = page["items"].as_array().unwrap();
            assert!((1..=2).contains(&on_page.len()));
            seen.extend(on_page.clone());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/admin/users/{id}/timeline?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, whole);
    }

    async fn a_page_of_a_timeline_has_limits(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let admin = app.admin().await;
        let wrongs = ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=", "limt=3"];
        for wrong in wrongs {
            device.get(&format!("{}?{wrong}", timeline_of(&device))).await.problem(400, "invalid_request");
            let path = format!("/admin/users/{}/timeline?{wrong}", device.user_id);
            admin.get(&path).await.problem(400, "invalid_request");
        }
    }
    async fn an_administrator_who_reads_of_others_leaves_a_trace(on: On) {
        let app = on.in_own_process().start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        let calls = || {
            let events = app.log().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>();
            events.into_iter().filter(|event| event["event"] == "admin_call").collect::<Vec<_>>()
        };
        ada.get(&timeline_of(&ada)).await.ok();
        let admin = app.admin().await;
        admin.get(&timeline_of(&admin)).await.ok();
        assert_eq!(calls(), Vec::<Value>::new(), "of their own");
        admin.get(&timeline_of(&ada)).await.ok();
        let calls = calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0]["route"], "/sessions/{id}/timeline");
        assert_eq!(calls[0]["user"], json!(ada.user_id));
        assert_eq!(calls[0]["status"], 200);
    }
}
