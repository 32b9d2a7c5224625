//! A password that was right is hashed anew, if its hash is of another cost or scheme than configured.

use relatch_testkit::{Device, On, TestApp};
use serde_json::json;

/// Hashes that passlib made: Argon2, and bcrypt as PHP writes it.
const HORSE: &str = "correct horse";
const ARGON2: &str =
    "$argon2id$v=19$m=64,t=2,p=2$3puzdm7tPQeAkNL6v1cKQQ$nHkhzVS8ymKSjzEx5BfBOpix83INNb3XvGrS28jjIYQ";
const PHP: &str = "$2y$04$QXqAMCo48hPO9if5Kw.1IuC4KV0QNOIeodRoSGuk.Gfd849xr0NnW";

fn stored(app: &mut TestApp, user: &str) -> String {
    app.redis().say(&format!("HGET relatch:{{{user}}}:u password"))
}

fn put(app: &mut TestApp, user: &str, hash: &str) {
    assert_eq!(app.redis().say(&format!("HSET relatch:{{{user}}}:u password {hash}")), ":0");
}

async fn tried(app: &TestApp, password: &str) -> u16 {
    app.login("ada", password).await.status
}

#[tokio::test]
async fn a_sign_in_makes_anew_what_is_of_another_scheme() {
    let mut app = On::redis().start().await;
    let user = app.user_with_password("ada", HORSE).await;
    let ours = stored(&mut app, &user);
    for foreign in [ARGON2, PHP] {
        put(&mut app, &user, foreign);
        assert_eq!(tried(&app, "another horse").await, 401);
        assert_eq!(stored(&mut app, &user), foreign, "only a right password is hashed anew");
        assert_eq!(tried(&app, HORSE).await, 200);
        let new = stored(&mut app, &user);
        assert!(new.starts_with("$2b$04$") && new != ours, "{new}");
        assert_eq!(tried(&app, HORSE).await, 200);
        assert_eq!(stored(&mut app, &user), new, "once is enough");
        assert_eq!(tried(&app, "another horse").await, 401);
    }
}

#[tokio::test]
async fn a_new_cost_comes_with_the_next_sign_in_and_ends_no_session() {
    let mut app = On::redis().start().await;
    let user = app.user("ada").await;
    let mut before = app.sign_in("ada").await;
    let node = app.second_node_with(&[("password.bcrypt_cost", "5")]).await;
    let body = json!({ "username": "ada", "password": relatch_testkit::PASSWORD });
    node.send(node.post("/login").json(&body)).await.ok();
    let new = stored(&mut app, &user);
    assert!(new.starts_with("$2b$05$"), "{new}");
    before.refresh().await.ok();
}

#[tokio::test]
async fn a_crowd_that_signs_in_at_once_gets_in_while_its_hash_is_made_anew() {
    let mut app = On::redis().set("rate_limit.enabled", "false").start().await;
    let user = app.user_with_password("ada", HORSE).await;
    put(&mut app, &user, ARGON2);
    let crowd = futures_util::future::join_all((0..8).map(|_| app.login("ada", HORSE))).await;
    for answer in crowd {
        answer.ok();
    }
    assert!(stored(&mut app, &user).starts_with("$2b$04$"));
}

/// The hash becomes another one between the check of the current password and its change; the password does not.
#[tokio::test]
async fn a_password_is_changed_while_sign_ins_make_its_hash_anew() {
    let mut app = On::redis().set("rate_limit.enabled", "false").start().await;
    let user = app.user_with_password("ada", HORSE).await;
    let ours = stored(&mut app, &user);
    let device = Device::signed_in(&app.node, &app.login("ada", HORSE).await.ok());
    for round in 0..12 {
        put(&mut app, &user, ARGON2);
        let change =
            json!({ "current_password": HORSE, "new_password": format!("a long walk on pier {round}") });
        let sign_ins = futures_util::future::join_all((0..3).map(|_| app.login("ada", HORSE)));
        let (changed, _) = tokio::join!(device.put("/password", &change), sign_ins);
        changed.expect(200);
        put(&mut app, &user, &ours);
    }
}
