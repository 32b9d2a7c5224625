//! `POST /login`.

use relatch_testkit::PASSWORD;
use serde_json::json;

on_both_stores! {
    async fn a_sign_in_answers_with_a_pair_and_the_user(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let body = app.login("Ada", PASSWORD).await.ok();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 900);
        assert_eq!(body["refresh_expires_in"], 14 * 24 * 3600);
        assert_eq!(body["user"], json!({"id": id, "username": "ada", "roles": ["user"]}));
        assert_eq!(body["session_id"].as_str().unwrap().len(), 43);
        let refresh = body["refresh_token"].as_str().unwrap();
        assert!(refresh.starts_with("rlt1_") && refresh.len() == 97, "{refresh}");
        let device = body["device_token"].as_str().unwrap();
        assert!(device.starts_with("rld1_") && device.len() == 81, "{device}");
        assert_eq!(body.as_object().unwrap().len(), 8, "{body}");
    }

    async fn tokens_are_not_to_be_stored_by_caches(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let answer = app.login("ada", PASSWORD).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("set-cookie").is_none());
    }

    async fn wrong_password_and_unknown_user_look_alike(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut bodies = Vec::new();
        for (name, password) in [("ada", "wrong"), ("nobody", PASSWORD), ("no body", PASSWORD), ("ada", ""), ("", "")] {
            let mut body = app.login(name, password).await.problem(401, "invalid_credentials");
            body["instance"] = json!(null);
            bodies.push(body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    }

    async fn passwords_are_compared_whole(on: On) {
        let app = on.start().await;
        let long = "x".repeat(72);
        app.user_with_password("ada", &long).await;
        app.login("ada", &long).await.ok();
        for near in [long[..71].to_owned(), format!("{long}y"), format!("{}z", &long[..71])] {
            app.login("ada", &near).await.problem(401, "invalid_credentials");
        }
    }

    async fn the_reserved_device_token_is_accepted(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let body = json!({"username": "ada", "password": PASSWORD, "device_token": "x", "delivery": "body",
            "device_name": "Ada's phone"});
        app.post_json("/login", &body).await.ok();
    }

    async fn one_more_session_than_allowed_replaces_the_least_recently_used(on: On) {
        let app = on.set("sessions.max_per_user", "2").with_clock().start().await;
        app.user("ada").await;
        let mut first = app.sign_in("ada").await;
        app.clock().advance_secs(10);
        let mut second = app.sign_in("ada").await;
        app.clock().advance_secs(10);
        first.refresh().await.ok();
        let mut third = app.sign_in("ada").await;
        let body = second.refresh().await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "replaced");
        first.refresh().await.ok();
        third.refresh().await.ok();
    }
}
