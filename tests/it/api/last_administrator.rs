//! The last administrator cannot be locked out through the API.

use futures_util::future::join_all;
use relatch_testkit::{Device, PASSWORD, TestApp};
use serde_json::json;

fn path(device: &Device) -> String {
    format!("/admin/users/{}", device.user_id)
}

async fn another_admin(app: &TestApp, name: &str) -> Device {
    let body = json!({"username": name, "password": PASSWORD, "roles": ["admin"]});
    app.admin().await.post("/admin/users", &body).await.expect(201);
    app.sign_in(name).await
}

on_both_stores! {
    async fn the_last_administrator_stays(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let admin = app.admin().await;
        for change in [json!({"roles": ["user"]}), json!({"disabled": true}), json!({"roles": [], "disabled": true})] {
            admin.patch(&path(&admin), &change).await.problem(409, "last_administrator");
        }
        admin.delete(&path(&admin)).await.problem(409, "last_administrator");
        admin.patch(&path(&admin), &json!({"roles": ["admin"]})).await.ok();

        // A disabled administrator is none.
        let boss = another_admin(&app, "boss").await;
        admin.patch(&path(&boss), &json!({"disabled": true})).await.ok();
        admin.delete(&path(&admin)).await.problem(409, "last_administrator");
        admin.patch(&path(&boss), &json!({"disabled": false})).await.ok();
        admin.delete(&path(&admin)).await.expect(204);
        let boss = app.sign_in("boss").await;
        boss.delete(&path(&boss)).await.problem(409, "last_administrator");
    }

    async fn of_two_who_demote_each_other_one_stays(on: On) {
        let app = on.start().await;
        let mut admin = app.admin().await;
        let mut boss = another_admin(&app, "boss").await;
        for _ in 0..10 {
            let demote = json!({"roles": ["user"]});
            let (one, other) = (path(&admin), path(&boss));
            let answers = join_all([boss.patch(&one, &demote), admin.patch(&other, &demote)]).await;
            let done = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(done, 1, "{answers:?}");
            if answers[1].status == 200 {
                std::mem::swap(&mut admin, &mut boss);
            }
            boss.patch(&path(&admin), &json!({"roles": ["admin", "user"]})).await.ok();
        }
    }

    async fn a_password_that_an_administrator_sets_lifts_the_wait(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        while app.login("ada", "not the right one").await.status != 429 {}
        let new = json!({"password": "another walk along the pier"});
        app.admin().await.patch(&format!("/admin/users/{id}"), &new).await.ok();
        app.login("ada", "another walk along the pier").await.ok();
    }

    async fn lifting_a_wait_is_on_record(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let admin = app.admin().await;
        admin.delete(&format!("/admin/users/{id}/failures")).await.expect(204);
        let trail = admin.get(&format!("/admin/audit?event=failures_forgotten&user={id}")).await.ok();
        assert_eq!(trail["items"][0]["actor"]["user"], admin.user_id.as_str());
    }
}
