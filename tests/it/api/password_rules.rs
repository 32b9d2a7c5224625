//! What a new password must be, wherever one is set (NIST SP 800-63B-4, section 3.1.1.2).

use std::time::{Duration, Instant};

use relatch_testkit::{Answer, Device, On, PASSWORD, TestApp};
use serde_json::json;

/// The places where a password is set, by a user called `lovelace`.
struct Places {
    app: TestApp,
    device: Device,
}

impl Places {
    async fn of(on: On) -> Self {
        let on = on.set("registration.enabled", "true").set("issuer", "https://login.example.com");
        let app = on.start().await;
        app.user("lovelace").await;
        let device = app.sign_in("lovelace").await;
        Self { app, device }
    }

    /// Sets the password in each of them.
    async fn set(&self, password: &str) -> Vec<(&'static str, Answer)> {
        let (app, device) = (&self.app, &self.device);
        let new = json!({"username": "lovelace2@example.org", "password": password});
        let user = format!("/admin/users/{}", device.user_id);
        let change = json!({"current_password": PASSWORD, "new_password": password});
        vec![
            ("password", app.post_json("/register", &new).await),
            ("password", app.admin().await.post("/admin/users", &new).await),
            ("password", app.admin().await.patch(&user, &json!({"password": password})).await),
            ("new_password", device.put("/password", &change).await),
        ]
    }
}

on_both_stores! {
    async fn weak_passwords_are_refused_everywhere_with_the_reason(on: On) {
        let places = Places::of(on).await;
        let common = "this password, or one close to it, is among the first that attackers try";
        let context = "this password is little more than the name of the user or of the service";
        for (password, reason) in [
            ("seven77", "a password has at least 8 characters"),
            ("🔑🔑🔑🔑🔑🔑🔑", "a password has at least 8 characters"),
            ("iloveyou", common),
            ("PassWord", common),
            ("passwordpassword", common),
            ("Dragon2024!", common),
            ("relatch-2024", context),
            ("login.example.com", context),
            ("Lovelace2!", context),
        ] {
            for (field, answer) in places.set(password).await {
                assert!(!answer.text.contains(password), "a password is never repeated: {}", answer.text);
                let problem = answer.problem(400, "invalid_request");
                assert_eq!(problem["fields"], json!([{"field": field, "message": reason}]), "{password}");
            }
        }
        places.app.login("lovelace", PASSWORD).await.ok();
    }

    async fn sixty_four_characters_of_any_kind_are_accepted_and_count_whole(on: On) {
        let app = on.set("registration.enabled", "true").start().await;
        let printing: String = (' '..='~').collect();
        for (name, password) in [
            ("key", "🔑".repeat(64)),
            ("ascii", printing),
            ("one", "x".repeat(64)),
            ("cyrillic", "пароль для примера ".repeat(4)),
            ("digits", "4829175036".to_owned()),
        ] {
            app.post_json("/register", &json!({"username": name, "password": password})).await.expect(201);
            app.login(name, &password).await.ok();
            let mut shorter = password.clone();
            shorter.pop();
            app.login(name, &shorter).await.problem(401, "invalid_credentials");
        }
    }

    async fn the_least_length_is_what_the_operator_says(on: On) {
        let app = on.set("registration.enabled", "true").set("password.min_length", "15").start().await;
        let body = json!({"username": "eve", "password": "tangled fjords"});
        let problem = app.post_json("/register", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["fields"][0]["message"], "a password has at least 15 characters");
        let body = json!({"username": "eve", "password": "tangled fjords!"});
        app.post_json("/register", &body).await.expect(201);
    }

    async fn endless_passwords_and_names_are_refused_at_once(on: On) {
        let app = on.set("registration.enabled", "true").start().await;
        let started = Instant::now();
        for letter in ["a", "e\u{301}", "\u{5d0}", "ﷺ"] {
            let endless = letter.repeat(10_000);
            for body in [
                json!({"username": "eve", "password": endless}),
                json!({"username": endless, "password": PASSWORD}),
            ] {
                app.post_json("/register", &body).await.problem(400, "invalid_request");
            }
            app.login("eve", &endless).await.problem(401, "invalid_credentials");
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }

    async fn a_weak_first_password_of_the_administrator_is_a_warning(on: On) {
        let app = on.in_own_process().set("bootstrap.admin_password", "admin-2024").start().await;
        app.login("admin", "admin-2024").await.ok();
        let log = app.log();
        let warned = log.lines().any(|line| line.contains("bootstrap.admin_password") && line.contains("little more than"));
        assert!(warned && !log.contains("admin-2024"), "{log}");
    }
}
