//! Redis comes back as another process: with less than it had, with nothing, or as somebody else's. Nothing is served from
//! it before it has again what must not be lost.

use std::time::{Duration, Instant};

use relatch_testkit::{Answer, Device, KEY, Node, OTHER_KEY, On, PASSWORD, TestApp};
use serde_json::{Value, json};

/// How soon a server is back once Redis is.
const SOON: Duration = Duration::from_secs(1);

async fn readiness(node: &Node) -> Answer {
    node.send(node.get("/health/ready")).await
}

/// Waits until the node says that it cannot serve. Gives what it says.
async fn unready(node: &Node) -> String {
    let begun = Instant::now();
    loop {
        let answer = readiness(node).await;
        if answer.status != 200 {
            let problem = answer.problem(503, "temporarily_unavailable");
            if !problem["detail"].as_str().unwrap().contains("try again") {
                return problem["detail"].as_str().unwrap().to_owned();
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "the node takes it for its store");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a refresh is told once nothing that is missing can come from other servers any more.
async fn once_settled(device: &Device) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = device.send_refresh(Some(KEY)).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it is never told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A device that signed in on the first server, which sleeps; Redis has forgotten it, and the second server, which never knew
/// it, serves from there.
async fn a_sign_in_is_forgotten() -> (TestApp, TestApp, Device) {
    let mut app =
        On::redis_with_a_memory().set("issuer", "http://localhost:8080").in_own_process().start().await;
    let url = app.redis().url();
    let other = On::store_at(url).set("issuer", "http://localhost:8080").in_own_process().start().await;
    app.user("ada").await;
    app.sign_in("ada").await;
    app.redis().set_aside();
    let device = app.sign_in("ada").await;
    app.pause();
    app.redis().fall_back().await;
    other.until_ready().await;
    (app, other, device)
}

/// Two servers, and the one that others are sent to does not know of a sign-in that Redis has lost: it waits for the one that does.
#[tokio::test]
async fn a_sign_in_that_redis_has_forgotten_is_not_refused_by_a_server_that_never_knew_it() {
    let (app, other, device) = a_sign_in_is_forgotten().await;
    let there = Device { node: other.node.clone(), ..device };
    there.send_refresh(None).await.problem(503, "temporarily_unavailable");
    app.resume();
    once_settled(&there).await.ok();
}

/// Somebody signs out of a session that Redis has lost, on a server that never knew it. The one that did must not bring it back.
#[tokio::test]
async fn a_sign_out_of_a_session_that_redis_has_forgotten_holds() {
    let (app, other, device) = a_sign_in_is_forgotten().await;
    let there = Device { node: other.node.clone(), ..device.clone() };
    there.sign_out().await.problem(503, "temporarily_unavailable");
    there.delete("/sessions?include_current=true").await.problem(503, "temporarily_unavailable");
    let begun = Instant::now();
    while there.sign_out().await.status != 204 {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is never acknowledged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.resume();
    app.until_ready().await;
    for device in [&device, &there] {
        once_settled(device).await.problem(401, "session_revoked");
    }
    let begun = Instant::now();
    while !app.log().contains("the last sign-ins that it may have lost") {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", app.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(app.log().contains("\"lost\":0"), "{}", app.log());
}

/// Two servers on a Redis that writes everything down.
async fn two_servers() -> (TestApp, TestApp) {
    let on = On::redis_with_a_memory().set("rate_limit.enabled", "false");
    let mut app = on.set("issuer", "http://localhost:8080").in_own_process().start().await;
    let on = On::store_at(app.redis().url()).set("rate_limit.enabled", "false");
    let other = on.set("issuer", "http://localhost:8080").in_own_process().start().await;
    app.user("ada").await;
    app.sign_in("ada").await;
    (app, other)
}

/// What a device is told that refreshes, and that asks whether it is signed in.
async fn told(device: &Device) -> [Answer; 2] {
    [device.send_refresh(Some(KEY)).await, device.get("/auth/check?live=true").await]
}

/// One server remembers the sign-in, the other its end, and Redis has forgotten both. The first must not serve the session
/// before the other, which is a little later, has had its turn.
#[tokio::test]
async fn a_sign_in_whose_end_another_server_remembers_is_never_served_again() {
    let (mut app, other) = two_servers().await;
    app.redis().set_aside();
    let device = app.sign_in("ada").await;
    let there = Device { node: other.node.clone(), ..device.clone() };
    app.pause();
    there.sign_out().await.expect(204);
    other.pause();
    app.redis().fall_back().await;
    app.resume();
    let begun = Instant::now();
    let mut is_there = false;
    while begun.elapsed() < Duration::from_secs(5) {
        if !is_there && begun.elapsed() > Duration::from_millis(300) {
            other.resume();
            is_there = true;
        }
        for device in [Some(&device), is_there.then_some(&there)].into_iter().flatten() {
            for answer in told(device).await {
                assert_ne!(answer.status, 200, "{answer:?} {:?} after the return", begun.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for device in [&device, &there] {
        once_settled(device).await.problem(401, "session_revoked");
    }
}

/// Nobody has ended it: it is served again by both, and until then it is an outage.
#[tokio::test]
async fn a_sign_in_that_redis_has_forgotten_comes_back_on_every_server() {
    let (mut app, other) = two_servers().await;
    app.redis().set_aside();
    let device = app.sign_in("ada").await;
    let there = Device { node: other.node.clone(), ..device.clone() };
    app.redis().fall_back().await;
    let begun = Instant::now();
    for device in [&there, &device, &there] {
        loop {
            let answers = told(device).await;
            for answer in &answers {
                assert!(
                    [200, 503].contains(&answer.status),
                    "{answer:?} {:?} after the return",
                    begun.elapsed()
                );
            }
            if answers.iter().all(|answer| answer.status == 200) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(4), "it does not come back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn lose_the_marker(app: &mut TestApp) {
    let lose =
        "EVAL \"for _, key in ipairs(redis.call('keys', 'relatch:*')) do redis.call('del', key) end\" 0";
    assert_eq!(app.redis().say(lose), "$-1");
}

#[tokio::test]
async fn what_was_revoked_stays_revoked_on_a_redis_that_has_forgotten_it() {
    let mut app = On::redis_with_a_memory().start().await;
    let bob = app.user("bob").await;
    app.user("ada").await;
    app.user("eve").await;
    let (mut ahead, lost) = (app.sign_in("ada").await, app.sign_in("ada").await);
    let (signed_out, deleted, early) =
        (app.sign_in("ada").await, app.sign_in("bob").await, app.sign_in("eve").await);
    let admin = app.admin().await;
    app.redis().set_aside();
    let known_since = app.sign_in("ada").await;
    ahead.refresh().await.ok();
    ahead.refresh_as(Some(KEY)).await.ok();
    signed_out.sign_out().await.expect(204);
    admin.post("/admin/revoke", &json!({"session_id": lost.session_id})).await.ok();
    admin.delete(&format!("/admin/users/{bob}")).await.expect(204);
    admin.post("/admin/keys/rotate", &json!({})).await.expect(201);
    app.redis().fall_back().await;
    app.until_ready().await;

    for (device, reason) in
        [(&signed_out, json!("signed_out")), (&lost, json!("revoked_by_admin")), (&deleted, Value::Null)]
    {
        let told = once_settled(device).await.problem(401, "session_revoked");
        assert_eq!(told["reason"], reason);
        // In the store, too: a node that has heard of nothing says the same.
        let there = Device { node: app.second_node().await, ..device.clone() };
        there.send_refresh(Some(KEY)).await.problem(401, "session_revoked");
    }
    // Rotated since: healed. The access token was signed by a key that the store had lost.
    ahead.refresh().await.ok();
    ahead.refresh().await.ok();
    // Began since: the server that it began with remembers it.
    known_since.check().await.ok();
    once_settled(&known_since).await.ok();
    early.check().await.ok();
    let again = app.sign_in("eve").await;
    let there = Device { node: app.second_node().await, ..again };
    there.check().await.ok();

    let events = app.admin().await.get("/admin/audit?event=revocations_restored").await.ok();
    assert_eq!(events["items"][0]["details"], json!({"sessions": 2, "users": 1}), "{events}");
}

#[tokio::test]
async fn the_cutoff_holds_on_a_redis_that_has_forgotten_it() {
    let mut app = On::redis_with_a_memory().start().await;
    app.user("ada").await;
    let device = app.sign_in("ada").await;
    app.redis().set_aside();
    let time: u64 = app.redis().say("EVAL \"return redis.call('TIME')[1]\" 0").parse().unwrap();
    let cutoff = relatch::rfc3339::seconds(relatch_domain::UnixSeconds(u32::try_from(time + 1).unwrap()));
    let admin = app.admin().await;
    // The cutoff may not lie in the future of the store.
    while admin.post("/admin/revoke", &json!({"signed_in_before": cutoff})).await.status != 202 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.redis().fall_back().await;
    app.until_ready().await;
    let told = device.send_refresh(None).await.problem(401, "session_revoked");
    assert_eq!(told["reason"], "signed_in_before");
    let stored = app.redis().say("HGET relatch:{journal}:cutoffs everyone");
    assert_eq!(stored, ((time + 1) * 1000).to_string());
}

#[tokio::test]
async fn a_redis_that_lost_everything_is_not_served_from_until_an_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let mut app = On::redis_with_a_memory().set("admin.socket", socket.to_str().unwrap()).start().await;
    app.user("ada").await;
    let device = app.sign_in("ada").await;
    let other = Device {
        node: app.second_node_with(&[("admin.socket", dir.path().join("other").to_str().unwrap())]).await,
        ..device.clone()
    };
    app.redis().restart_empty().await;

    for device in [&device, &other] {
        assert!(unready(&device.node).await.contains("relatch store adopt"));
        device.send_refresh(Some(KEY)).await.problem(503, "temporarily_unavailable");
        device.get("/sessions").await.problem(503, "temporarily_unavailable");
        device.sign_out().await.problem(503, "temporarily_unavailable");
        let login = device.node.post("/login").json(&json!({"username": "ada", "password": PASSWORD}));
        device.node.send(login).await.problem(503, "temporarily_unavailable");
        device.check().await.ok();
    }
    assert_eq!(app.redis().say("EXISTS relatch:marker"), ":0");

    let said = adopt(&app, dir.path());
    assert!(said.ends_with("has its marker again and is served from"), "{said}");
    // It is the store that the others knew as well.
    for node in [&app.node, &other.node] {
        node.until_ready().await;
    }
    once_settled(&device).await.problem(401, "session_revoked");
    // The signing keys are back, and somebody can sign in.
    device.check().await.ok();
    let admin = app.sign_in("admin").await;
    let adopted = admin.get("/admin/audit?event=store_adopted").await.ok();
    assert_eq!(adopted["items"][0]["actor"]["kind"], "operator", "{adopted}");
    let said = adopt(&app, dir.path());
    assert!(said.ends_with("is the store that the server serves from"), "{said}");
}

/// Without a restart nothing tells a node at once: whoever finds a session missing looks first.
#[tokio::test]
async fn a_session_that_is_missing_in_an_emptied_redis_is_no_verdict() {
    let mut app = On::redis().start().await;
    app.user("ada").await;
    let device = app.sign_in("ada").await;
    lose_the_marker(&mut app);
    device.send_refresh(Some(KEY)).await.problem(503, "temporarily_unavailable");
    app.login("ada", PASSWORD).await.problem(503, "temporarily_unavailable");
    assert!(unready(&app.node).await.contains("not the one that this server knew"));
}

#[tokio::test]
async fn somebody_elses_redis_is_not_served_from() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let mut app = On::redis().set("admin.socket", socket.to_str().unwrap()).start().await;
    app.user("ada").await;
    let device = app.sign_in("ada").await;
    let marker = app.redis().say("GET relatch:marker");
    let mut parsed: Value = serde_json::from_str(&marker).unwrap();
    let leave = |app: &mut TestApp, parsed: &Value| {
        let quoted = parsed.to_string().replace('"', "\\\"");
        assert_eq!(app.redis().say(&format!("SET relatch:marker \"{quoted}\"")), "+OK");
    };
    parsed["issuer"] = json!("https://somebody.example");
    leave(&mut app, &parsed);
    unready(&app.node).await;
    device.send_refresh(Some(KEY)).await.problem(503, "temporarily_unavailable");
    let refused = adopting(&app, dir.path());
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("belongs to the issuer https://somebody.example"), "{why}");
    unready(&app.node).await;

    // Of the same issuer and master key, it may be taken.
    let mut ours: Value = serde_json::from_str(&marker).unwrap();
    ours["store_id"] = json!("another");
    leave(&mut app, &ours);
    let said = adopt(&app, dir.path());
    assert!(said.starts_with("another is the store that the server serves from now"), "{said}");
    app.until_ready().await;
    device.send_refresh(Some(KEY)).await.ok();
}

fn adopting(app: &TestApp, dir: &std::path::Path) -> std::process::Output {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("relatch");
    let mut command = std::process::Command::new(binary);
    command.args(["store", "adopt"]).env_clear().envs(app.environment()).current_dir(dir).output().unwrap()
}

fn adopt(app: &TestApp, dir: &std::path::Path) -> String {
    let done = adopting(app, dir);
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn within_a_second_after_redis_is_back_the_server_is() {
    let mut app = On::redis_with_a_memory().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    for key in [KEY, OTHER_KEY] {
        app.redis().kill();
        // Long enough for every back-off to be at its longest.
        let away = Instant::now();
        while away.elapsed() < Duration::from_secs(2) {
            device.send_refresh(Some(key)).await.problem(503, "temporarily_unavailable");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        app.redis().restart().await;
        let back = Instant::now();
        while device.send_refresh(Some(key)).await.status != 200 {
            assert!(back.elapsed() < SOON);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        device.refresh_as(Some(key)).await.ok();
    }
}
