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

    async fn a_password_signs_in_from_every_keyboard(on: On) {
        let app = on.set("registration.enabled", "true").start().await;
        for (number, forms) in [
            // Korean: syllables, their letters joined, and letters one by one as of some keyboards.
            vec!["비밀번호는길다요", "\u{1107}\u{1175}\u{1106}\u{1175}\u{11af}\u{1107}\u{1165}\u{11ab}\u{1112}\u{1169}\
                  \u{1102}\u{1173}\u{11ab}\u{1100}\u{1175}\u{11af}\u{1103}\u{1161}\u{110b}\u{116d}"],
            vec!["나무구두바다가마", "\u{3134}\u{314f}\u{3141}\u{315c}\u{3131}\u{315c}\u{3137}\u{315c}\u{3142}\u{314f}\u{3137}\
                  \u{314f}\u{3131}\u{314f}\u{3141}\u{314f}"],
            // Vietnamese: composed, in parts as on Windows, and in the smallest parts as on macOS.
            vec!["mật khẩu tiếng Việt", "mâ\u{323}t khâ\u{309}u tiê\u{301}ng Viê\u{323}t",
                 "ma\u{323}\u{302}t kha\u{302}\u{309}u tie\u{302}\u{301}ng Vie\u{323}\u{302}t"],
            // Japanese: full-width and half-width, with its space.
            vec!["ガラス pass 2026", "ｶﾞﾗｽ pass 2026", "ガラス　ｐａｓｓ　２０２６", "カ\u{3099}ラス pass 2026"],
            vec!["crème brûlée à Noël", "cre\u{300}me bru\u{302}le\u{301}e a\u{300} Noe\u{308}l", "crème\u{a0}brûlée à Noël"],
        ]
        .into_iter()
        .enumerate()
        {
            // Set in each form, and typed in each.
            for (set_in, set) in forms.iter().enumerate() {
                let name = format!("user{number}x{set_in}");
                app.post_json("/register", &json!({"username": name, "password": set})).await.expect(201);
                for typed in &forms {
                    app.login(&name, typed).await.ok();
                }
                app.login(&name, "another password").await.problem(401, "invalid_credentials");
            }
        }
    }

    async fn passwords_of_every_script_are_taken_and_controls_told(on: On) {
        let places = Places::of(on).await;
        let app = &places.app;
        for (number, password) in ["тысяча ₽ в день", "my fox 🦊 is red", "I ❤️ my old dog", "👩‍👩‍👧 on the pier"]
            .into_iter()
            .enumerate()
        {
            let name = format!("eve{number}");
            app.post_json("/register", &json!({"username": name, "password": password})).await.expect(201);
            app.login(&name, password).await.ok();
        }
        let long = "x".repeat(1025);
        for (password, reason) in [
            ("", "a password is not empty"),
            ("tab\tand a bed", "a new password has no control characters, but this one has U+0009"),
            (long.as_str(), "a password has at most 1024 bytes of UTF-8"),
        ] {
            for (field, answer) in places.set(password).await {
                let problem = answer.problem(400, "invalid_request");
                assert_eq!(problem["fields"], json!([{"field": field, "message": reason}]));
            }
            // Nobody has it, and nobody is told why.
            app.login("lovelace", password).await.problem(401, "invalid_credentials");
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
