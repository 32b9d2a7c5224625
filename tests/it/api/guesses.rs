//! Guessing passwords: how soon it has to wait, and who does not.

use std::time::Duration;

use futures_util::future::join_all;
use relatch_testkit::browser::DEVICE;
use relatch_testkit::{Answer, Device, Node, On, PASSWORD, TestApp};
use serde_json::{Value, json};

/// A sign-in from an address, by way of a trusted proxy.
async fn sign_in(node: &Node, address: &str, body: &Value) -> Answer {
    node.send(node.post("/login").header("X-Forwarded-For", address).json(body)).await
}

fn wrong(name: &str) -> Value {
    json!({ "username": name, "password": "not the right one" })
}

fn right(name: &str) -> Value {
    json!({ "username": name, "password": PASSWORD })
}

/// How long the answer says to wait.
fn wait(answer: Answer) -> u64 {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let wait = answer.header("retry-after").unwrap().parse().unwrap();
    let detail = answer.problem(429, "too_many_attempts")["detail"].to_string();
    assert!(detail.contains(&format!("in {wait} s")), "people are told as well: {detail}");
    wait
}

async fn start(on: On) -> TestApp {
    let app = on.set("http.trusted_proxies", "127.0.0.0/8").start().await;
    app.user("ada").await;
    app
}

on_both_stores! {
    async fn who_gets_in_after_failures_is_told_of_with_their_number(on: On) {
        let app = start(on).await;
        let id = app.admin().await.get("/admin/users?query=ada").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
        let phone = sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
        for guess in 0..4 {
            sign_in(&app.node, &format!("198.51.100.{guess}"), &wrong("ada")).await.problem(401, "invalid_credentials");
        }
        sign_in(&app.node, "203.0.113.9", &right("ada")).await.ok();
        let known = json!({ "username": "ada", "password": PASSWORD, "device_token": phone["device_token"] });
        sign_in(&app.node, "192.0.2.1", &known).await.ok();
        let trail = app.admin().await.get(&format!("/admin/audit?event=signed_in&user={id}")).await.ok();
        let details: Vec<_> = trail["items"].as_array().unwrap().iter().map(|record| record["details"].clone()).collect();
        let expected = [
            json!({ "known_device": true, "failures": 4 }),
            json!({ "known_device": false, "failures": 4 }),
            json!({ "known_device": false }),
        ];
        assert_eq!(details, expected);
    }

    async fn a_hundred_and_one_guesses_from_many_addresses_are_ten_and_the_owner_gets_in(on: On) {
        let app = start(on).await;
        let phone = app.node.send(app.node.post("/login").json(&right("ada"))).await.ok();
        let token = phone["device_token"].as_str().unwrap();
        let mut looked_at = 0;
        for guess in 0..101 {
            let answer = sign_in(&app.node, &format!("198.51.{guess}.7"), &wrong("ada")).await;
            if answer.status == 401 {
                answer.problem(401, "invalid_credentials");
                looked_at += 1;
            } else {
                wait(answer);
            }
        }
        // Ten are free; whoever is slow may have waited for one more.
        assert!((10..=12).contains(&looked_at), "{looked_at}");
        wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await);
        let known = json!({ "username": "ada", "password": PASSWORD, "device_token": token });
        let again = sign_in(&app.node, "192.0.2.1", &known).await.ok();
        assert!(again["device_token"].is_string());
        // A device is known to the one who signed in on it.
        app.user("eve").await;
        let other = app.node.send(app.node.post("/login").json(&right("eve"))).await.ok();
        let not_hers = json!({ "username": "ada", "password": PASSWORD, "device_token": other["device_token"] });
        wait(sign_in(&app.node, "192.0.2.2", &not_hers).await);
    }

    async fn a_known_device_has_a_budget_too(on: On) {
        let app = start(on).await;
        let phone = app.node.send(app.node.post("/login").json(&right("ada"))).await.ok();
        let guess = json!({ "username": "ada", "password": "wrong", "device_token": phone["device_token"] });
        for _ in 0..10 {
            sign_in(&app.node, "192.0.2.1", &guess).await.problem(401, "invalid_credentials");
        }
        wait(sign_in(&app.node, "192.0.2.1", &guess).await);
        // It is its own: others may try.
        sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
    }

    async fn waits_are_true_and_double(on: On) {
        let app = start(on.with_clock().set("rate_limit.account_failures", "1").set("rate_limit.longest_wait", "8s")).await;
        sign_in(&app.node, "192.0.2.1", &wrong("ada")).await.problem(401, "invalid_credentials");
        for expected in [1, 2, 4, 8, 8] {
            assert_eq!(wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await), expected);
            app.clock().advance(Duration::from_millis(expected * 1000 - 1));
            assert_eq!(wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await), 1);
            app.clock().advance(Duration::from_millis(1));
            sign_in(&app.node, "192.0.2.1", &wrong("ada")).await.problem(401, "invalid_credentials");
        }
        app.clock().advance(Duration::from_secs(8));
        for _ in 0..3 {
            sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
        }
    }

    async fn unknown_and_known_names_wait_alike(on: On) {
        let app = start(on.with_clock()).await;
        app.user("disabled").await;
        let users = app.admin().await.get("/admin/users?query=disabled").await.ok();
        let path = format!("/admin/users/{}", users["items"][0]["id"].as_str().unwrap());
        app.admin().await.patch(&path, &json!({ "disabled": true })).await.ok();
        let mut told = Vec::new();
        for (number, name) in ["ada", "nobody", "disabled", "not\u{1} a name", "  "].iter().enumerate() {
            let mut answers = Vec::new();
            for _ in 0..12 {
                let answer = sign_in(&app.node, &format!("198.51.{number}.7"), &wrong(name)).await;
                let mut body = answer.json();
                body["instance"] = Value::Null;
                let wait = answer.header("retry-after").map(str::to_owned);
                answers.push((answer.status, wait, body.to_string()));
            }
            told.push(answers);
        }
        assert_eq!(told[0].iter().filter(|(status, ..)| *status == 401).count(), 10);
        for other in &told {
            assert_eq!(*other, told[0]);
        }
    }

    async fn an_address_may_fail_so_often_whatever_the_names(on: On) {
        let app = start(on.set("rate_limit.address_failures", "3").set("rate_limit.address_failure_interval", "1h")).await;
        for number in 0..3 {
            sign_in(&app.node, "192.0.2.1", &wrong(&format!("user-{number}"))).await.problem(401, "invalid_credentials");
        }
        wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await);
        sign_in(&app.node, "192.0.2.2", &right("ada")).await.ok();
        // The block: three for each of four addresses.
        for number in 10..19 {
            sign_in(&app.node, &format!("192.0.2.{number}"), &wrong(&format!("user-{number}"))).await.problem(401, "invalid_credentials");
        }
        wait(sign_in(&app.node, "192.0.2.99", &right("ada")).await);
        sign_in(&app.node, "192.0.3.99", &right("ada")).await.ok();
    }

    async fn a_customer_of_ipv6_is_one_address(on: On) {
        let app = start(on.set("rate_limit.address_failures", "2").set("rate_limit.address_failure_interval", "1h")).await;
        for number in 0..2 {
            let address = format!("2001:db8:1:2::{number}");
            sign_in(&app.node, &address, &wrong(&format!("user-{number}"))).await.problem(401, "invalid_credentials");
        }
        wait(sign_in(&app.node, "2001:db8:1:2:ffff::1", &right("ada")).await);
        sign_in(&app.node, "2001:db8:1:3::1", &right("ada")).await.ok();
    }

    async fn who_gets_in_is_not_counted(on: On) {
        let app = start(on.set("rate_limit.account_failures", "2").set("rate_limit.address_failures", "2")).await;
        for _ in 0..10 {
            sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
        }
    }

    async fn an_account_signs_in_so_often_and_then_once_in_each_interval(on: On) {
        let app = start(on.set("rate_limit.sign_ins", "30").set("rate_limit.sign_in_interval", "1m")).await;
        let phone = sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
        let answers = join_all((1..60).map(|number| {
            let node = &app.node;
            async move { sign_in(node, &format!("192.0.2.{number}"), &right("ada")).await.status }
        }))
        .await;
        let let_in = answers.iter().filter(|status| **status == 200).count();
        assert_eq!(let_in, 29, "so many at once are no more: {answers:?}");
        // Wherever it comes from, and on a known device.
        let known = json!({ "username": "ada", "password": PASSWORD, "device_token": phone["device_token"] });
        for body in [right("ada"), known] {
            let refused = sign_in(&app.node, "192.0.2.1", &body).await;
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((40..=60).contains(&wait), "{wait}");
            refused.problem(429, "too_many_requests");
        }
        let audit = app.admin().await.get("/admin/audit?event=sign_in_failed").await.ok();
        assert_eq!(audit["items"][0]["details"]["reason"], "too_many_requests");
        // Nobody else learns of it.
        sign_in(&app.node, "192.0.2.1", &wrong("ada")).await.problem(401, "invalid_credentials");
        app.user("eve").await;
        sign_in(&app.node, "192.0.2.1", &right("eve")).await.ok();
    }

    async fn changes_of_the_password_count_as_sign_ins_of_the_account(on: On) {
        let app = start(on.set("rate_limit.sign_ins", "2").set("rate_limit.sign_in_interval", "1m")).await;
        let device = app.sign_in("ada").await;
        let change = json!({ "current_password": PASSWORD, "new_password": "a long walk on the pier" });
        device.put("/password", &change).await.ok();
        let again = json!({ "current_password": "a long walk on the pier", "new_password": PASSWORD });
        device.put("/password", &again).await.problem(429, "too_many_requests");
        device.put("/password", &change).await.problem(401, "invalid_credentials");
    }

    async fn guesses_from_everywhere_at_everybody_have_a_budget_and_known_devices_do_not_notice(on: On) {
        let on = on.set("rate_limit.strangers_failures", "20").set("rate_limit.strangers_failure_interval", "1m");
        let app = start(on).await;
        let phone = sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
        let mut looked_at = 0;
        for number in 0..60 {
            let answer = sign_in(&app.node, &format!("10.{number}.0.1"), &wrong(&format!("user-{number}"))).await;
            if answer.status == 401 {
                looked_at += 1;
            } else {
                assert!((50..=60).contains(&wait(answer)));
            }
        }
        assert_eq!(looked_at, 20);
        wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await);
        let known = json!({ "username": "ada", "password": PASSWORD, "device_token": phone["device_token"] });
        sign_in(&app.node, "192.0.2.1", &known).await.ok();
    }

    async fn without_limits_nobody_waits(on: On) {
        let app = start(on.set("rate_limit.enabled", "false")).await;
        for _ in 0..40 {
            sign_in(&app.node, "192.0.2.1", &wrong("ada")).await.problem(401, "invalid_credentials");
        }
    }

    async fn the_current_password_is_guessed_as_slowly(on: On) {
        let app = start(on).await;
        let device = app.sign_in("ada").await;
        let guess = json!({ "current_password": "wrong", "new_password": "a long walk on the pier" });
        for _ in 0..10 {
            device.put("/password", &guess).await.problem(401, "invalid_credentials");
        }
        wait(device.put("/password", &guess).await);
        // Signing in is something else.
        app.sign_in("ada").await;
    }

    async fn a_try_that_waits_is_told_to_operators(on: On) {
        let app = start(on.set("rate_limit.account_failures", "1")).await;
        sign_in(&app.node, "192.0.2.1", &wrong("ada")).await.problem(401, "invalid_credentials");
        wait(sign_in(&app.node, "192.0.2.1", &wrong("ada")).await);
        let audit = app.admin().await.get("/admin/audit?event=sign_in_failed").await.ok();
        let latest = &audit["items"][0];
        assert_eq!((&latest["details"]["reason"], &latest["address"]), (&json!("too_many_attempts"), &json!("192.0.2.1")));
        assert!(latest["user"].is_string(), "{latest}");
    }

    async fn administrators_see_failures_and_lift_the_wait(on: On) {
        let app = start(on.with_clock().set("rate_limit.account_failures", "2")).await;
        let admin = app.admin().await;
        let users = admin.get("/admin/users?query=ada").await.ok();
        let path = format!("/admin/users/{}/failures", users["items"][0]["id"].as_str().unwrap());
        let mut none = json!({ "failures": 0, "last_at": null, "wait_seconds": 0 });
        none["known_devices"] = none.clone();
        assert_eq!(admin.get(&path).await.ok(), none);
        for _ in 0..2 {
            sign_in(&app.node, "192.0.2.1", &wrong("ada")).await.problem(401, "invalid_credentials");
        }
        wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await);
        let failures = admin.get(&path).await.ok();
        assert_eq!((&failures["failures"], failures["wait_seconds"].as_u64()), (&json!(2), Some(1)));
        assert!(failures["last_at"].is_string(), "{failures}");
        admin.delete(&path).await.expect(204);
        admin.delete(&path).await.expect(204);
        assert_eq!(admin.get(&path).await.ok()["failures"], 0);
        sign_in(&app.node, "192.0.2.1", &right("ada")).await.ok();
        let nobody = "/admin/users/01a1fdab-6a07-786f-997e-d0ae0e2646b6/failures";
        admin.get(nobody).await.problem(404, "not_found");
        admin.delete(nobody).await.problem(404, "not_found");
    }

    async fn a_browser_keeps_its_device_token_in_a_cookie(on: On) {
        let app = start(on).await;
        let mut browser = app.browse("ada", "hybrid").await;
        assert!(browser.cookie(DEVICE).starts_with("rld1_"));
        for _ in 0..11 {
            sign_in(&app.node, "192.0.2.1", &wrong("ada")).await;
        }
        wait(sign_in(&app.node, "192.0.2.1", &right("ada")).await);
        browser.sign_in("ada", "hybrid").await.expect(200);
        browser.sign_out().await.expect(204);
        assert!(browser.cookies().is_empty() && browser.jar.contains_key(DEVICE), "it stays");
        browser.sign_in("ada", "cookie").await.expect(200);
    }
}

#[tokio::test]
async fn the_budget_is_one_for_all_nodes() {
    let app = start(On::redis().set("rate_limit.account_failures", "7")).await;
    let other = app.second_node().await;
    let tries = (0..60).map(|number| {
        let node = if number % 2 == 0 { &app.node } else { &other };
        async move { sign_in(node, &format!("198.51.{number}.1"), &wrong("ada")).await.status }
    });
    let statuses = join_all(tries).await;
    let looked_at = statuses.iter().filter(|status| **status != 429).count();
    assert_eq!(looked_at, 7, "{statuses:?}");
}

/// A thief who makes a session refresh too often hides nothing: the other's token is judged before its budget is.
#[tokio::test]
async fn a_reuse_does_not_hide_behind_a_429() {
    let limits = |on: On| {
        on.set("rate_limit.session_refresh_burst", "2").set("rate_limit.session_refresh_interval", "1m")
    };
    let app = limits(On::redis()).set("refresh_token.grace", "0s").start().await;
    app.user("ada").await;
    let honest = app.sign_in("ada").await;
    let mut thief: Device = honest.clone();
    thief.refresh().await.ok();
    thief.refresh().await.ok();
    thief.refresh().await.problem(429, "too_many_requests");
    honest.send_refresh(None).await.problem(401, "refresh_token_reused");
    thief.send_refresh(None).await.problem(401, "session_revoked");
}
