//! Refresh against the end of the session, and against itself: whoever is told that a session has ended can rely on it,
//! and a session never has two successors.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all, join3};
use relatch_testkit::{Answer, Device, Node, On, PASSWORD, Pair, TestApp};
use serde_json::json;

/// How often each race is run.
const ROUNDS: usize = 12;

/// The ways in which a session can end.
#[derive(Debug, Clone, Copy)]
enum End {
    SignOut,
    ByRefreshTokenAlone,
    ByUser,
    BySignOutElsewhere,
    ByAdmin,
    AllByAdmin,
}

impl End {
    const ALL: [Self; 6] = [
        Self::SignOut,
        Self::ByRefreshTokenAlone,
        Self::ByUser,
        Self::BySignOutElsewhere,
        Self::ByAdmin,
        Self::AllByAdmin,
    ];

    /// The reason that clients are told.
    const fn reason(self) -> &'static str {
        match self {
            Self::SignOut | Self::ByRefreshTokenAlone => "signed_out",
            Self::ByUser | Self::BySignOutElsewhere => "revoked_by_user",
            Self::ByAdmin | Self::AllByAdmin => "revoked_by_admin",
        }
    }

    async fn send(self, device: &Device, other: &Device, admin: &Device) -> Answer {
        match self {
            Self::SignOut => device.sign_out().await,
            Self::ByRefreshTokenAlone => {
                let body = json!({"refresh_token": device.pair.refresh});
                device.node.send(device.node.post("/logout").json(&body)).await
            }
            Self::ByUser => other.delete(&format!("/sessions/{}", device.session_id)).await,
            Self::BySignOutElsewhere => other.delete("/sessions").await,
            Self::ByAdmin => admin.post("/admin/revoke", &json!({"session_id": device.session_id})).await,
            Self::AllByAdmin => admin.post("/admin/revoke", &json!({"username": "ada"})).await,
        }
    }
}

/// An attempt key that was never used before.
fn fresh_key() -> String {
    relatch_domain::base64url::encode(&relatch::ambient::Random.bytes::<18>().unwrap())
}

fn on(node: &Node, device: &Device) -> Device {
    Device { node: node.clone(), ..device.clone() }
}

/// Two devices of one user on these nodes; one refreshes while its session is ended in this way.
async fn refresh_against(end: End, app: &TestApp, nodes: &[Node], round: usize) {
    let at = |number: usize| &nodes[number % nodes.len()];
    let admin = on(at(round), &app.admin().await);
    let other = on(at(round + 1), &app.sign_in("ada").await);
    let mut device = on(at(round), &app.sign_in("ada").await);
    let mut issued = vec![device.pair.clone()];
    for _ in 0..round % 3 {
        device.refresh_as(Some(&fresh_key())).await.ok();
        issued.push(device.pair.clone());
    }

    let key = fresh_key();
    let twin = on(at(round + 1), &device);
    let refreshes = join(device.send_refresh(Some(&key)), twin.send_refresh(Some(&key)));
    let ending = end.send(&device, &other, &admin);
    // Whoever is polled first has a start.
    let ((first, second), ended) = if round.is_multiple_of(2) {
        join(refreshes, ending).await
    } else {
        let (ended, pair) = join(ending, refreshes).await;
        (pair, ended)
    };
    assert!([200, 204].contains(&ended.status), "{end:?}: {ended:?}");
    for answer in [first, second] {
        match answer.status {
            200 => issued.push(Pair::of(&answer.json())),
            _ => assert_eq!(answer.problem(401, "session_revoked")["reason"], end.reason()),
        }
    }

    // From here on nothing that the session ever had is good for anything, on any node.
    for pair in issued {
        for node in nodes {
            let holder = Device { pair: pair.clone(), ..on(node, &device) };
            for key in [Some(fresh_key()), Some(key.clone()), None] {
                let body = holder.send_refresh(key.as_deref()).await.problem(401, "session_revoked");
                assert_eq!(body["reason"], end.reason(), "the first end is final");
            }
            holder.get("/auth/check?live=true").await.problem(401, "session_revoked");
            holder.get("/sessions").await.problem(401, "session_revoked");
            holder.sign_out().await.expect(204);
        }
    }
}

/// Three copies of one device refresh on all nodes at once, each with a key of its own, one without.
async fn one_successor(app: &TestApp, nodes: &[Node]) {
    let device = app.sign_in("ada").await;
    let keys = [Some(fresh_key()), Some(fresh_key()), None];
    let copies = (0..18).map(|number| (on(&nodes[number % nodes.len()], &device), keys[number % 3].clone()));
    let answers = join_all(copies.map(async |(copy, key)| copy.send_refresh(key.as_deref()).await)).await;
    let mut successors = BTreeSet::new();
    for answer in answers {
        match answer.status {
            200 => drop(successors.insert(Pair::of(&answer.json()).refresh)),
            _ => drop(answer.problem(409, "refresh_superseded")),
        }
    }
    assert_eq!(successors.len(), 1);
}

/// Honest device and thief go on at the same time from the same pair, each with what it got.
async fn never_two_families(app: &TestApp, nodes: &[Node]) {
    let mut honest = on(&nodes[0], &app.sign_in("ada").await);
    let mut thief = on(&nodes[nodes.len() - 1], &honest);
    let mut dead = false;
    for _ in 0..6 {
        let (one, other) = (fresh_key(), fresh_key());
        let (one, other) = join(honest.refresh_as(Some(&one)), thief.refresh_as(Some(&other))).await;
        let successes = [&one, &other].into_iter().filter(|answer| answer.status == 200).count();
        assert!(successes <= 1, "two families: {one:?} {other:?}");
        assert!(!dead || successes == 0, "a session came back: {one:?} {other:?}");
        dead |= [one, other].iter().any(|answer| answer.status == 401);
    }
    assert!(dead, "the theft was never noticed");
    let body = honest.refresh().await.problem(401, "session_revoked");
    assert_eq!(body["reason"], "reuse");
    thief.refresh().await.problem(401, "session_revoked");
}

/// A session ends once, however many end it.
async fn ended_once(app: &TestApp, nodes: &[Node]) {
    let device = app.sign_in("ada").await;
    let admins: Vec<_> = join_all(nodes.iter().map(async |node| on(node, &app.admin().await))).await;
    let body = json!({"session_id": device.session_id});
    let revocations =
        join_all((0..6).map(|number| admins[number % admins.len()].post("/admin/revoke", &body)));
    let elsewhere = on(&nodes[nodes.len() - 1], &device);
    let (revocations, one, other) = join3(revocations, device.sign_out(), elsewhere.sign_out()).await;
    one.expect(204);
    other.expect(204);
    let counted: u64 =
        revocations.into_iter().map(|answer| answer.ok()["revoked_sessions"].as_u64().unwrap()).sum();
    let reason = device.send_refresh(None).await.problem(401, "session_revoked")["reason"].clone();
    let expected = u64::from(reason != "signed_out");
    assert_eq!(counted, expected, "ended as {reason}");
}

/// Somebody who knows Ada's password signs in as fast as they can until it is changed, or she is disabled. Gives the
/// sessions that they got, from before the change and from its midst.
async fn sign_ins_against(change: impl Future<Output = Answer>, nodes: &[Node]) -> Vec<Device> {
    let over = AtomicBool::new(false);
    let sign_ins = (0..4).map(async |number: usize| {
        let node = &nodes[number % nodes.len()];
        let body = json!({"username": "ada", "password": PASSWORD});
        let mut sessions = Vec::new();
        // Whoever begins while the change is under way may be through with the password when it lands.
        while !over.load(Ordering::Relaxed) {
            let answer = node.send(node.post("/login").json(&body)).await;
            match answer.status {
                200 => sessions.push(Device::signed_in(node, &answer.json())),
                401 => drop(answer.problem(401, "invalid_credentials")),
                _ => drop(answer.problem(503, "temporarily_unavailable")),
            }
        }
        sessions
    });
    let changed = async {
        let changed = change.await;
        over.store(true, Ordering::Relaxed);
        assert!([200, 204].contains(&changed.status), "{changed:?}");
    };
    let (sessions, ()) = join(join_all(sign_ins), changed).await;
    sessions.concat()
}

/// Of the sessions that the old password has begun none outlives its change by the user or an administrator, nor the
/// disabling of the user.
async fn no_sign_in_outlives_a_change(on: On, count: usize) {
    let app = on.set("password.bcrypt_cost", "6").set("sessions.max_per_user", "1000");
    let app = app.set("rate_limit.enabled", "false").start().await;
    let nodes = nodes(&app, count).await;
    let admin = app.admin().await;
    let mut caught = 0;
    for round in 0..ROUNDS / 2 {
        let path = format!("/admin/users/{}", app.user("ada").await);
        let new = "a long walk on the pier";
        let (sessions, reason) = match round % 3 {
            0 => {
                let ada = app.sign_in("ada").await;
                let body = json!({"current_password": PASSWORD, "new_password": new});
                (sign_ins_against(ada.put("/password", &body), &nodes).await, "password_changed")
            }
            1 => {
                let body = json!({"password": new});
                (sign_ins_against(admin.patch(&path, &body), &nodes).await, "password_changed")
            }
            _ => {
                let disabling = async {
                    // Takes as long as a change of password, so that somebody can be quicker.
                    app.login("ada", "wrong").await.problem(401, "invalid_credentials");
                    admin.patch(&path, &json!({"disabled": true})).await
                };
                let sessions = sign_ins_against(disabling, &nodes).await;
                app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
                admin.patch(&path, &json!({"disabled": false, "password": new})).await.ok();
                (sessions, "user_disabled")
            }
        };
        caught += sessions.len();
        for session in sessions {
            let body = session.send_refresh(None).await.problem(401, "session_revoked");
            assert_eq!(body["reason"], reason);
        }
        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        admin.delete(&path).await.expect(204);
    }
    assert!(caught > 0, "nobody was quick enough to sign in");
}

/// Two devices change the password at the same time, each to one of its own.
async fn one_new_password(app: &TestApp, nodes: &[Node]) {
    let path = format!("/admin/users/{}", app.user("ada").await);
    let new = ["a long walk on the pier", "tangled fjords of norway"];
    let devices = [app.sign_in("ada").await, app.sign_in("ada").await];
    let devices = [on(&nodes[0], &devices[0]), on(&nodes[nodes.len() - 1], &devices[1])];
    let body = |new| json!({"current_password": PASSWORD, "new_password": new});
    let (bodies, [one, other]) = (new.map(body), &devices);
    let (one, other) = join(one.put("/password", &bodies[0]), other.put("/password", &bodies[1])).await;
    let statuses = [one.status, other.status];
    assert!([[200, 401], [401, 200]].contains(&statuses), "{one:?} {other:?}");
    for (status, password) in statuses.into_iter().zip(new) {
        assert_eq!(app.login("ada", password).await.status, status);
    }
    app.admin().await.delete(&path).await.expect(204);
}

async fn nodes(app: &TestApp, count: usize) -> Vec<Node> {
    let more = join_all((1..count).map(|_| app.second_node())).await;
    [app.node.clone()].into_iter().chain(more).collect()
}

async fn refresh_against_every_end(on: On, count: usize) {
    let app = on.start().await;
    app.user("ada").await;
    let nodes = nodes(&app, count).await;
    for round in 0..ROUNDS {
        refresh_against(End::ALL[round / 2 % End::ALL.len()], &app, &nodes, round).await;
    }
}

async fn refresh_against_itself(on: On, count: usize) {
    let app = on.start().await;
    app.user("ada").await;
    let nodes = nodes(&app, count).await;
    for _ in 0..ROUNDS / 3 {
        one_successor(&app, &nodes).await;
        never_two_families(&app, &nodes).await;
        ended_once(&app, &nodes).await;
    }
}

async fn password_against_itself(on: On, count: usize) {
    let app = on.start().await;
    let nodes = nodes(&app, count).await;
    for _ in 0..ROUNDS / 2 {
        one_new_password(&app, &nodes).await;
    }
}

on_both_stores! {
    async fn nothing_is_refreshed_once_the_end_was_told(on: On) {
        refresh_against_every_end(on, 1).await;
    }

    async fn a_sign_in_does_not_outlive_a_change_of_the_user(on: On) {
        no_sign_in_outlives_a_change(on, 1).await;
    }

    async fn of_two_new_passwords_at_once_one_holds(on: On) {
        password_against_itself(on, 1).await;
    }

    async fn a_session_has_one_successor_and_one_end(on: On) {
        refresh_against_itself(on, 1).await;
    }
}

#[tokio::test]
async fn nothing_is_refreshed_once_the_end_was_told_by_either_of_two_nodes() {
    refresh_against_every_end(On::redis(), 2).await;
}

#[tokio::test]
async fn a_sign_in_does_not_outlive_a_change_of_the_user_on_another_node() {
    no_sign_in_outlives_a_change(On::redis(), 2).await;
}

#[tokio::test]
async fn of_two_new_passwords_at_once_on_two_nodes_one_holds() {
    password_against_itself(On::redis(), 2).await;
}

#[tokio::test]
async fn a_session_has_one_successor_and_one_end_on_two_nodes() {
    refresh_against_itself(On::redis(), 2).await;
}
