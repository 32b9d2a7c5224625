//! Devices on which a user has signed in before: how long they are known, and how often all of them may fail.

use relatch_testkit::browser::DEVICE;
use relatch_testkit::{Answer, Browser, Device, On, PASSWORD, TestApp};
use serde_json::{Value, json};

const NEW: &str = "a long walk on the pier";

async fn start(on: On) -> TestApp {
    let app = on.with_clock().set("http.trusted_proxies", "127.0.0.0/8").start().await;
    app.user("ada").await;
    app
}

/// A sign-in as ada from an address, on a device that has this token, if any.
async fn sign_in(app: &TestApp, address: usize, password: &str, device: Option<&str>) -> Answer {
    let mut body = json!({ "username": "ada", "password": password });
    if let Some(device) = device {
        body["device_token"] = json!(device);
    }
    let address = format!("198.51.{}.7", address % 256);
    app.node.send(app.node.post("/login").header("X-Forwarded-For", address).json(&body)).await
}

fn device_token(body: &Value) -> String {
    body["device_token"].as_str().unwrap_or_else(|| panic!("no device token in {body}")).to_owned()
}

/// Signs in as ada on so many new devices, and gives their tokens.
async fn devices(app: &TestApp, count: usize) -> Vec<String> {
    let mut tokens = Vec::new();
    for number in 0..count {
        tokens.push(device_token(&sign_in(app, number, PASSWORD, None).await.ok()));
    }
    tokens
}

/// Has each device guess ten times, from an address of its own, and counts the passwords that were looked at.
async fn guesses(app: &TestApp, tokens: &[String]) -> usize {
    let mut looked_at = 0;
    for (number, token) in tokens.iter().enumerate() {
        for _ in 0..10 {
            let answer = sign_in(app, number, "not the right one", Some(token)).await;
            assert!([401, 429].contains(&answer.status), "{answer:?}");
            looked_at += usize::from(answer.status == 401);
        }
    }
    looked_at
}

/// Whether the device that has this token is known: after this, strangers have to wait, and a known device has not.
async fn is_known(app: &TestApp, password: &str, token: &str) -> bool {
    for number in 0..11 {
        sign_in(app, number, "not the right one", None).await;
    }
    assert_eq!(sign_in(app, 99, password, None).await.status, 429, "strangers have to wait");
    let status = sign_in(app, 99, password, Some(token)).await.status;
    assert!([200, 429].contains(&status), "{status}");
    status == 200
}

fn change(current: &str, new: &str) -> Value {
    json!({ "current_password": current, "new_password": new })
}

async fn change_by_browser(browser: &mut Browser, current: &str, new: &str) -> Answer {
    browser.send(browser.node.request("PUT", "/password").json(&change(current, new))).await
}

async fn reset(app: &TestApp, user: &str) {
    let issued = app.admin().await.post(&format!("/admin/users/{user}/reset"), &json!({})).await.expect(201);
    let body = json!({ "reset_token": issued.json()["reset_token"], "new_password": NEW });
    app.post_json("/password/reset", &body).await.expect(204);
}

on_both_stores! {
    async fn a_change_of_the_password_makes_strangers_of_all_devices(on: On) {
        let app = start(on).await;
        let tokens = devices(&app, 4).await;
        let owner = app.sign_in("ada").await;
        let changed = owner.put("/password", &change(PASSWORD, NEW)).await;
        assert_eq!(guesses(&app, &tokens).await, 10, "as many as strangers have");
        let new = device_token(&changed.ok());
        assert!(is_known(&app, NEW, &new).await, "the one that changed it is known by its new token");
    }

    async fn so_do_a_reset_and_an_administrator(on: On) {
        let app = start(on).await;
        let tokens = devices(&app, 2).await;
        let ada = app.sign_in("ada").await.user_id;
        reset(&app, &ada).await;
        assert!(!is_known(&app, NEW, &tokens[0]).await, "after a reset");
        let failures = format!("/admin/users/{ada}/failures");
        let admin = app.admin().await;
        admin.delete(&failures).await.expect(204);
        let token = device_token(&sign_in(&app, 1, NEW, None).await.ok());
        admin.patch(&format!("/admin/users/{ada}"), &json!({ "password": PASSWORD })).await.ok();
        assert!(!is_known(&app, PASSWORD, &token).await, "after an administrator's change");
        assert!(!is_known(&app, PASSWORD, &tokens[1]).await, "what was void stays void");
    }

    async fn other_changes_of_a_user_leave_devices_known(on: On) {
        let app = start(on).await;
        let token = devices(&app, 1).await.remove(0);
        let ada = app.sign_in("ada").await;
        let edit = json!({ "roles": ["user", "guest"], "attributes": { "tenant": "acme" } });
        app.admin().await.patch(&format!("/admin/users/{}", ada.user_id), &edit).await.ok();
        ada.put("/password", &change("wrong", NEW)).await.problem(401, "invalid_credentials");
        ada.put("/password", &change(PASSWORD, "short")).await.problem(400, "invalid_request");
        assert!(is_known(&app, PASSWORD, &token).await);
    }

    async fn a_hash_that_is_made_anew_leaves_devices_known(on: On) {
        let mut app = start(on).await;
        let token = devices(&app, 1).await.remove(0);
        app.restart_with(&[("password.bcrypt_cost", "5")]).await;
        // The first makes the hash anew, the second meets the new one.
        for _ in 0..2 {
            sign_in(&app, 1, PASSWORD, None).await.ok();
        }
        assert!(is_known(&app, PASSWORD, &token).await);
    }

    async fn who_changes_the_password_is_known_afterwards_whatever_the_delivery(on: On) {
        let app = start(on).await;
        let device = app.sign_in("ada").await;
        let answer = device.put("/password", &change(PASSWORD, NEW)).await;
        assert!(answer.set_cookies().is_empty());
        let body = answer.ok();
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "nothing but the token: {body}");
        let token = device_token(&body);
        assert!(token.starts_with("rld1_") && token.len() == 81, "{token}");

        let mut holds = NEW;
        for (delivery, next) in [("hybrid", PASSWORD), ("cookie", NEW)] {
            let mut browser = app.browser();
            let body = json!({ "username": "ada", "password": holds, "delivery": delivery });
            browser.send(app.node.post("/login").json(&body)).await.expect(200);
            let before = browser.cookie(DEVICE);
            let answer = change_by_browser(&mut browser, holds, next).await.expect(204);
            assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("", 1), "{delivery}");
            assert!(answer.set_cookies()[0].contains("Max-Age=34560000"), "as at a sign-in: {delivery}");
            let after = browser.cookie(DEVICE);
            assert_ne!(before, after);
            assert!(is_known(&app, next, &after).await, "{delivery}");
            assert!(!is_known(&app, next, &before).await, "{delivery}");
            let failures = format!("/admin/users/{}/failures", device.user_id);
            app.admin().await.delete(&failures).await.expect(204);
            holds = next;
        }
    }

    async fn another_site_changes_no_password_by_a_token_and_sets_no_cookie(on: On) {
        let app = start(on).await;
        let browser = app.browse("ada", "hybrid").await;
        let mut other_site = browser.from(Some("cross-site"), Some("https://evil.example"));
        let answer = change_by_browser(&mut other_site, PASSWORD, NEW).await;
        answer.problem(403, "cross_site_request");
        app.login("ada", PASSWORD).await.ok();
        change_by_browser(&mut browser.as_program(), PASSWORD, NEW).await.expect(204);
    }

    async fn forty_devices_of_one_account_have_one_budget(on: On) {
        let app = start(on).await;
        let tokens = devices(&app, 41).await;
        assert_eq!(guesses(&app, &tokens[..40]).await, 40, "four times that of one device");
        sign_in(&app, 41, PASSWORD, Some(&tokens[40])).await.problem(429, "too_many_attempts");
        // Strangers have their own, as has another account.
        let fresh = sign_in(&app, 42, PASSWORD, None).await.ok();
        app.user("eve").await;
        let eve = app.login("eve", PASSWORD).await.ok();
        let again = json!({ "username": "eve", "password": PASSWORD, "device_token": device_token(&eve) });
        app.post_json("/login", &again).await.ok();
        // A change of the password leaves the guesses of those devices behind.
        let owner = Device::signed_in(&app.node, &fresh);
        let new = device_token(&owner.put("/password", &change(PASSWORD, NEW)).await.ok());
        sign_in(&app, 43, NEW, Some(&new)).await.ok();
    }

    async fn a_few_devices_that_fail_do_not_make_the_others_wait(on: On) {
        let app = start(on).await;
        let tokens = devices(&app, 4).await;
        for _ in 0..3 {
            assert_eq!(guesses(&app, &tokens[..3]).await % 30, 0);
        }
        sign_in(&app, 3, PASSWORD, Some(&tokens[3])).await.ok();
    }

    async fn who_gets_in_on_a_known_device_is_not_counted(on: On) {
        let app = start(on.set("rate_limit.account_failures", "1")).await;
        let token = devices(&app, 1).await.remove(0);
        for number in 0..10 {
            sign_in(&app, number, PASSWORD, Some(&token)).await.ok();
        }
    }

    async fn administrators_see_failures_of_known_devices_and_lift_their_wait(on: On) {
        let app = start(on.set("rate_limit.account_failures", "1")).await;
        let tokens = devices(&app, 5).await;
        let admin = app.admin().await;
        let users = admin.get("/admin/users?query=ada").await.ok();
        let path = format!("/admin/users/{}/failures", users["items"][0]["id"].as_str().unwrap());
        let none = json!({ "failures": 0, "last_at": null, "wait_seconds": 0 });
        assert_eq!(admin.get(&path).await.ok()["known_devices"], none);
        assert_eq!(guesses(&app, &tokens[..4]).await, 4);
        let failures = admin.get(&path).await.ok();
        let known = &failures["known_devices"];
        assert_eq!((&known["failures"], &known["wait_seconds"]), (&json!(4), &json!(1)), "{failures}");
        assert!(known["last_at"].is_string(), "{failures}");
        assert_eq!(failures["failures"], 0, "strangers have not tried");
        sign_in(&app, 1, PASSWORD, Some(&tokens[4])).await.problem(429, "too_many_attempts");
        admin.delete(&path).await.expect(204);
        assert_eq!(admin.get(&path).await.ok()["known_devices"], none);
        sign_in(&app, 1, PASSWORD, Some(&tokens[4])).await.ok();
    }
}

#[tokio::test]
async fn the_budget_of_known_devices_is_one_for_all_nodes() {
    let app = start(On::redis().set("rate_limit.account_failures", "2")).await;
    let tokens = devices(&app, 12).await;
    let other = app.second_node().await;
    let tries = tokens.iter().enumerate().map(|(number, token)| {
        let node = if number % 2 == 0 { &app.node } else { &other };
        let body = json!({ "username": "ada", "password": "wrong", "device_token": token });
        async move { node.send(node.post("/login").json(&body)).await.status }
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 8, "{statuses:?}");
}
