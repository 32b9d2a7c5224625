//! What concerns everyone: cutoffs and signing keys. One write of the store is the commit; a node that hears of it late reads
//! it from the store.

use std::time::{Duration, Instant};

use relatch::operator::{Command, UserLine};
use relatch::rfc3339;
use relatch_testkit::cutter::{Fate, Lasts};
use relatch_testkit::{Answer, Device, Node, On, PASSWORD};
use serde_json::{Value, json};

use super::Stage;
use super::call::Call;
use super::look::{are_refused_soon, until_closed};

/// The rows of the table that are tried here.
pub(super) const FOR_ALL: [&str; 4] =
    ["POST /admin/revoke", "POST /admin/keys/rotate", "KeyRotate", "UserImport"];

const MOST: usize = 20;
const WAYS: [(Fate, Lasts); 2] = [(Fate::Before, Lasts::Onwards), (Fate::After, Lasts::Onwards)];

async fn sign_in(node: &Node, name: &str) -> Device {
    let body = json!({"username": name, "password": PASSWORD});
    Device::signed_in(node, &node.send(node.post("/login").json(&body)).await.ok())
}

/// Cuts at one write after the other until none is met. `act` makes the request of an administrator who has just signed in, and
/// looks at what has come of it.
async fn cut_at_each(
    stage: &Stage,
    success: u16,
    prepare: impl AsyncFn() -> Acting,
    look: impl AsyncFn(&Acting, &str),
) {
    for nth in 1..MOST {
        let mut is_met = false;
        for (round, (fate, lasts)) in WAYS.into_iter().enumerate() {
            let acting = prepare().await;
            stage.cutter.arm(nth, fate, lasts);
            let mut answer = acting.call.send(&stage.cut_off).await;
            let is_hit = stage.cutter.disarm();
            is_met |= is_hit;
            let how = format!("cut at {nth}, {fate:?}: {}", answer.status);
            let again = [&stage.app.node, &stage.cut_off][(nth + round) % 2];
            for _ in 0..100 {
                if answer.status != 503 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                answer = acting.call.send(again).await;
            }
            assert_eq!(answer.status, success, "{how}: {}", answer.text);
            look(&acting, &how).await;
        }
        if !is_met {
            return;
        }
    }
    panic!("it never ends");
}

struct Acting {
    admin: Device,
    call: Call,
    victims: Vec<Device>,
    spared: Vec<Device>,
    /// What is told of, in `details`.
    subject: Value,
}

/// How often it is on record.
async fn tellings(admin: &Device, event: &str, field: &str, value: &Value) -> usize {
    let page = admin.get(&format!("/admin/audit?event={event}&limit=200")).await.ok();
    page["items"].as_array().unwrap().iter().filter(|item| item["details"][field] == *value).count()
}

async fn is_told(admin: &Device, event: &str, field: &str, value: &Value, how: &str) {
    let told = tellings(admin, event, field, value).await;
    assert!(told >= 1, "{how}: {event} {value}");
}

/// A cutoff between two sessions of the same user.
async fn cutoff(stage: &Stage) -> Acting {
    let node = &stage.app.node;
    let victims = vec![sign_in(node, "ada").await];
    // The next session begins in a later millisecond than the cutoff, which is later than this one.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let cutoff = rfc3339::millis(stage.app.now());
    tokio::time::sleep(Duration::from_millis(3)).await;
    let (admin, spared) = (sign_in(node, "admin").await, vec![sign_in(node, "ada").await]);
    let call = Call::new("POST", "/admin/revoke", Some(&admin), json!({"signed_in_before": cutoff}));
    let asked = rfc3339::parse_up(&cutoff).unwrap();
    Acting { admin, call, victims, spared, subject: json!(rfc3339::exact(asked)) }
}

#[tokio::test]
async fn a_cutoff_that_was_begun_is_raised_and_told_of_though_nobody_asks_again() {
    let stage = Stage::set().await;
    stage.app.user("ada").await;
    // The store knows the scripts then.
    cutoff(&stage).await.call.send(&stage.cut_off).await.expect(202);
    for nth in 1..=3 {
        let acting = cutoff(&stage).await;
        stage.cutter.arm(nth, Fate::Before, Lasts::Onwards);
        acting.call.send(&stage.cut_off).await.expect(503);
        assert!(stage.cutter.disarm());
        until_closed(|| stage.journal()).await;
        let how = format!("cut at {nth}");
        let told = tellings(&acting.admin, "cutoff_raised", "cutoff", &acting.subject).await;
        assert_eq!(told, usize::from(nth > 1), "{how}");
        let there = Device { node: stage.cut_off.clone(), ..acting.victims[0].clone() };
        if nth == 1 {
            there.get("/auth/check?live=true").await.ok();
            continue;
        }
        are_refused_soon(vec![stage.app.node.clone(), stage.cut_off.clone()], acting.victims, how).await;
        acting.spared[0].check().await.ok();
    }
}

#[tokio::test]
async fn a_cutoff_holds_wherever_its_node_is_cut_off() {
    let stage = Stage::set().await;
    let node = &stage.app.node;
    stage.app.user("ada").await;
    let prepare = async || cutoff(&stage).await;
    cut_at_each(&stage, 202, prepare, async |acting, how| {
        let nodes = vec![node.clone(), stage.cut_off.clone()];
        are_refused_soon(nodes, acting.victims.clone(), how.to_owned()).await;
        acting.victims[0].send_refresh(None).await.problem(401, "session_revoked");
        for device in &acting.spared {
            device.check().await.ok();
            Device { node: stage.cut_off.clone(), ..device.clone() }.refresh().await.ok();
        }
        is_told(&acting.admin, "cutoff_raised", "cutoff", &acting.subject, how).await;
    })
    .await;
    let later = stage.later().await;
    Device { node: later, ..stage.bystander.clone() }.check().await.problem(401, "session_revoked");
}

#[tokio::test]
async fn the_end_of_a_clients_sessions_holds_wherever_its_node_is_cut_off() {
    let stage = Stage::set().await;
    let node = &stage.app.node;
    stage.app.user("ada").await;
    let prepare = async || {
        let (admin, victims) = (sign_in(node, "admin").await, vec![sign_in(node, "ada").await]);
        let call = Call::new("POST", "/admin/revoke", Some(&admin), json!({"client_id": "relatch"}));
        Acting { admin, call, victims, spared: vec![], subject: json!("relatch") }
    };
    // The administrator's own session is among them: a repetition may be refused, and tells that it is done.
    for nth in 1..MOST {
        let acting = prepare().await;
        stage.cutter.arm(nth, Fate::Before, Lasts::Onwards);
        let first = acting.call.send(&stage.cut_off).await;
        let is_hit = stage.cutter.disarm();
        let how = format!("cut at {nth}: {}", first.status);
        let again: Answer = if first.status == 503 { acting.call.send(node).await } else { first };
        assert!(matches!(again.status, 202 | 401), "{how}: {} {}", again.status, again.text);
        let nodes = vec![node.clone(), stage.cut_off.clone()];
        are_refused_soon(nodes, acting.victims.clone(), how.clone()).await;
        let device = sign_in(&stage.cut_off, "ada").await;
        device.check().await.ok();
        Device { node: node.clone(), ..device }.refresh().await.ok();
        if again.status == 202 {
            is_told(&sign_in(node, "admin").await, "client_revoked", "client_id", &acting.subject, &how)
                .await;
        }
        if !is_hit {
            return;
        }
    }
    panic!("it never ends");
}

/// Waits until a node knows the key by which a token was signed on another one: of several rotations at once it may take
/// seconds to hear.
async fn until_known(node: &Node, device: &Device) {
    let (there, begun) = (Device { node: node.clone(), ..device.clone() }, Instant::now());
    while there.check().await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the key stays unknown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn keys_are_rotated_as_a_whole_wherever_their_node_is_cut_off() {
    let stage = Stage::set().await;
    let node = &stage.app.node;
    stage.app.user("ada").await;
    let keys = async |admin: &Device| {
        let page = admin.get("/admin/keys").await.ok();
        page["items"].as_array().unwrap().clone()
    };
    for leaks in [false, true] {
        let prepare = async || {
            let admin = sign_in(node, "admin").await;
            until_known(&stage.cut_off, &admin).await;
            let former = keys(&admin).await;
            // Not the latest of them: a node that has yet to hear of the rotation before signs with it.
            let retired = former.iter().rfind(|key| key["state"] == "retired");
            let kid = retired.map_or(Value::Null, |key| key["kid"].clone());
            let body = if leaks { json!({"revoke": kid}) } else { json!({}) };
            let call = Call::new("POST", "/admin/keys/rotate", Some(&admin), body);
            Acting { admin, call, victims: vec![], spared: vec![sign_in(node, "ada").await], subject: kid }
        };
        cut_at_each(&stage, 201, prepare, async |acting, how| {
            let all = keys(&acting.admin).await;
            for state in ["active", "next"] {
                assert_eq!(all.iter().filter(|key| key["state"] == state).count(), 1, "{how}: {all:#?}");
            }
            if leaks {
                let is_revoked = |key: &&Value| key["kid"] == acting.subject && key["state"] == "revoked";
                assert!(all.iter().any(|key| is_revoked(&key)), "{how}: {all:#?}");
                is_told(&acting.admin, "key_rotated", "revoked", &acting.subject, how).await;
            }
            let active = all.iter().find(|key| key["state"] == "active").unwrap();
            is_told(&acting.admin, "key_rotated", "kid", &active["kid"], how).await;
            acting.spared[0].check().await.ok();
            Device { node: stage.cut_off.clone(), ..acting.spared[0].clone() }.refresh().await.ok();
        })
        .await;
    }
}

/// The key that signs, if there is one active key and one that is next.
async fn active_key(admin: &Device, how: &str) -> Value {
    let page = admin.get("/admin/keys").await.ok();
    let keys = page["items"].as_array().unwrap();
    let of_state = |state: &str| keys.iter().filter(|key| key["state"] == state).collect::<Vec<_>>();
    let (active, next) = (of_state("active"), of_state("next"));
    assert_eq!((active.len(), next.len()), (1, 1), "{how}: {keys:#?}");
    active[0]["kid"].clone()
}

fn import_of(name: &str) -> Command {
    let line = json!({"username": name});
    let users: Vec<UserLine> = vec![serde_json::from_value(line).unwrap()];
    Command::UserImport { users, dry_run: false }
}

/// Of these it cannot be told later whether they were carried out.
#[tokio::test]
async fn commands_that_break_off_and_are_not_repeated_are_on_record_as_interrupted() {
    let stage = Stage::set_on(On::with_clock).await;
    for (event, command) in [
        ("key_rotated", (|_| Command::KeyRotate { revoke: None }) as fn(&str) -> Command),
        ("users_imported", import_of),
    ] {
        for nth in 1..=MOST {
            assert!(nth < MOST, "{event} never ends");
            let how = format!("{event} cut at {nth}");
            let admin = sign_in(&stage.app.node, "admin").await;
            let before = tellings(&admin, event, "interrupted", &json!(true)).await;
            let call = Call::command(&command(&format!("imported-{nth}")));
            stage.cutter.arm(nth, Fate::Before, Lasts::Onwards);
            let answer = call.send(&stage.cut_off).await;
            if !stage.cutter.disarm() {
                assert_eq!(answer.status, 200, "{how}: {}", answer.text);
                break;
            }
            // No request is under way for so long.
            stage.app.clock().advance_secs(31);
            until_closed(|| stage.journal()).await;
            let told = tellings(&admin, event, "interrupted", &json!(true)).await;
            assert_eq!(told - before, usize::from(nth > 1), "{how}: {}", answer.text);
            active_key(&admin, &how).await;
        }
    }
}
