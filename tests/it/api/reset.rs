//! A lost password: `POST /admin/users/{id}/reset` and `POST /password/reset`.

use futures_util::future::join_all;
use relatch_testkit::{Answer, PASSWORD, TestApp};
use serde_json::{Value, json};

const NEW: &str = "a long walk on the pier";

async fn issue(app: &TestApp, user: &str) -> Value {
    app.admin().await.post(&format!("/admin/users/{user}/reset"), &json!({})).await.expect(201).json()
}

async fn token(app: &TestApp, user: &str) -> String {
    issue(app, user).await["reset_token"].as_str().unwrap().to_owned()
}

async fn reset(app: &TestApp, token: &str, new: &str) -> Answer {
    app.post_json("/password/reset", &json!({ "reset_token": token, "new_password": new })).await
}

async fn is_void(app: &TestApp, token: &str) {
    reset(app, token, NEW).await.problem(400, "invalid_reset_token");
}

on_both_stores! {
    async fn whoever_has_the_token_sets_a_new_password_once(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let mut phone = app.sign_in("ada").await;
        let token = token(&app, &id).await;
        assert!(token.starts_with("rlp1_") && token.len() == 81, "{token}");
        phone.refresh().await.ok();
        reset(&app, &token, "short").await.problem(400, "invalid_request");
        reset(&app, &token, "password").await.problem(400, "invalid_request");

        assert_eq!(reset(&app, &token, NEW).await.expect(204).text, "");
        let ended = phone.refresh().await.problem(401, "session_revoked");
        assert_eq!(ended["reason"], "password_changed");
        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        app.login("ada", NEW).await.ok();
        is_void(&app, &token).await;
    }

    async fn of_many_with_one_token_one_gets_through(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let token = token(&app, &id).await;
        let passwords: Vec<_> = (0..8).map(|number| format!("a long walk on pier {number}")).collect();
        let answers = join_all(passwords.iter().map(|new| reset(&app, &token, new))).await;
        let mut through = Vec::new();
        for (answer, new) in answers.into_iter().zip(&passwords) {
            if answer.status == 204 {
                through.push(new);
            } else {
                answer.problem(400, "invalid_reset_token");
            }
        }
        assert_eq!(through.len(), 1);
        app.login("ada", through[0]).await.ok();
    }

    async fn it_is_void_after_its_time_after_any_change_and_without_its_user(on: On) {
        let app = on.with_clock().set("password.reset_ttl", "10m").start().await;
        let (ada, bob) = (app.user("ada").await, app.user("bob").await);
        let first = token(&app, &ada).await;
        app.clock().advance_secs(10 * 60);
        is_void(&app, &first).await;

        let (second, of_bob) = (token(&app, &ada).await, token(&app, &bob).await);
        let body = json!({ "password": "tangled fjords of norway" });
        app.admin().await.patch(&format!("/admin/users/{ada}"), &body).await.ok();
        is_void(&app, &second).await;
        app.admin().await.delete(&format!("/admin/users/{bob}")).await.expect(204);
        is_void(&app, &of_bob).await;

        let third = token(&app, &ada).await;
        for other in [third.replacen("rlp1_", "rld1_", 1), third.to_uppercase(), third[..80].to_owned(), String::new()] {
            is_void(&app, &other).await;
        }
        reset(&app, &third, NEW).await.expect(204);
    }

    async fn what_strangers_have_failed_counts_no_more_and_who_is_disabled_stays_so(on: On) {
        let app = on.set("rate_limit.account_failures", "1").start().await;
        let id = app.user("ada").await;
        app.login("ada", "wrong").await.problem(401, "invalid_credentials");
        app.login("ada", PASSWORD).await.problem(429, "too_many_attempts");
        reset(&app, &token(&app, &id).await, NEW).await.expect(204);
        app.login("ada", NEW).await.ok();

        app.admin().await.patch(&format!("/admin/users/{id}"), &json!({ "disabled": true })).await.ok();
        reset(&app, &token(&app, &id).await, PASSWORD).await.expect(204);
        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
    }

    async fn it_is_told_who_issued_it_and_when_it_expires(on: On) {
        let app = on.with_clock().start().await;
        let id = app.user("ada").await;
        let issued = issue(&app, &id).await;
        let at = app.now().seconds().0 + 3600;
        let expires = time::OffsetDateTime::from_unix_timestamp(at.into()).unwrap();
        let text = expires.format(&time::format_description::well_known::Rfc3339).unwrap();
        assert_eq!(issued["expires_at"], text);
        reset(&app, issued["reset_token"].as_str().unwrap(), NEW).await.expect(204);
        let trail = app.admin().await.get(&format!("/admin/audit?user={id}")).await.ok();
        let events: Vec<_> = trail["items"].as_array().unwrap().iter().map(|record| (&record["event"], &record["actor"]["kind"])).collect();
        let expected = [("password_changed", "anonymous"), ("password_reset_issued", "user"), ("user_created", "user")];
        assert_eq!(events, expected.each_ref().map(|(event, kind)| (json!(event), json!(kind))).each_ref().map(|(event, kind)| (event, kind)));
        let nobody = "01a1fdab-6a07-786f-997e-d0ae0e2646b6";
        app.admin().await.post(&format!("/admin/users/{nobody}/reset"), &json!({})).await.problem(404, "not_found");
        let ada = relatch_testkit::Device::signed_in(&app.node, &app.login("ada", NEW).await.ok());
        ada.post(&format!("/admin/users/{id}/reset"), &json!({})).await.problem(403, "insufficient_scope");
    }
}
