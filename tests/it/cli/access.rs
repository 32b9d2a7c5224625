//! `relatch user unblock`, `relatch user role`, and the last administrator.

use relatch_testkit::{PASSWORD, TestApp};
use serde_json::json;

use super::{done, failed, on_each_way};

/// Fails to sign in until the account has to wait.
async fn lock_out(app: &TestApp, name: &str) {
    loop {
        let answer = app.login(name, "not the right one").await;
        if answer.status == 429 {
            answer.problem(429, "too_many_attempts");
            return;
        }
        answer.problem(401, "invalid_credentials");
    }
}

on_each_way! {
    async fn a_new_password_lifts_the_wait(place: Place) {
        place.app.user("ada").await;
        lock_out(&place.app, "ada").await;
        done(place.relatch(&["user", "passwd", "ada"], "another good password\n"));
        place.app.login("ada", "another good password").await.ok();
    }

    async fn the_wait_of_an_account_is_lifted(place: Place) {
        let id = place.app.user("ada").await;
        lock_out(&place.app, "ada").await;
        assert_eq!(place.does(&["user", "unblock", "ada"]), format!("ada no longer has to wait ({id})\n"));
        place.app.login("ada", PASSWORD).await.ok();
        let trail = place.app.admin().await.get(&format!("/admin/audit?event=failures_forgotten&user={id}")).await.ok();
        assert_eq!(trail["items"][0]["actor"]["kind"], "operator");
        let nobody = place.fails(&["user", "unblock", "eve"], 1);
        assert!(nobody.starts_with("relatch: there is no user \"eve\""), "{nobody}");
    }

    async fn the_wait_of_an_address_is_lifted(place: Place) {
        for number in 0..31 {
            place.app.login(&format!("nobody-{number}"), "not the right one").await;
        }
        place.app.login("admin", PASSWORD).await.problem(429, "too_many_attempts");
        let said = place.does(&["user", "unblock", "--address", "127.0.0.1"]);
        assert_eq!(said, "127.0.0.1 and its block no longer have to wait\n");
        place.app.login("nobody", "not the right one").await.problem(401, "invalid_credentials");
        place.fails(&["user", "unblock"], 2);
        place.fails(&["user", "unblock", "--address", "nowhere"], 2);
    }

    async fn roles_are_given_and_taken(place: Place) {
        let id = place.app.user("ada").await;
        let said = place.does(&["user", "role", "add", "ada", "billing", "admin"]);
        assert_eq!(said, format!("ada has the roles admin, billing, user ({id})\n"));
        let ada = place.object(&["user", "role", "remove", "ada", "user", "billing"]);
        assert_eq!(ada["roles"], json!(["admin"]));
        let said = place.does(&["user", "role", "remove", "ada", "admin"]);
        assert_eq!(said, format!("ada has no role ({id})\n"));
        let wrong = failed(place.relatch(&["user", "role", "add", "ada", "Billing"], ""), 1);
        assert!(wrong.contains("\"Billing\": a role has"), "{wrong}");
        place.fails(&["user", "role", "add", "ada"], 2);
    }

    async fn the_last_administrator_goes_only_by_force(place: Place) {
        place.app.user("ada").await;
        for command in [
            &["user", "role", "remove", "admin", "admin"][..],
            &["user", "disable", "admin"],
            &["user", "delete", "admin", "--yes"],
        ] {
            let refused = place.fails(command, 1);
            assert!(refused.contains("the last administrator") && refused.contains("--force"), "{refused}");
        }
        place.does(&["user", "role", "add", "ada", "admin"]);
        place.does(&["user", "disable", "admin"]);
        place.fails(&["user", "disable", "ada"], 1);
        place.does(&["user", "disable", "ada", "--force"]);
        place.does(&["user", "enable", "ada"]);
        place.does(&["user", "role", "remove", "ada", "admin", "--force"]);
        place.does(&["user", "role", "add", "ada", "admin"]);
        place.does(&["user", "delete", "ada", "--yes", "--force"]);
    }
}
