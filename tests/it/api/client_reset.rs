//! Clients that send a request and reset the connection: what the request has begun to write is brought to its end and
//! told of, or nothing was written at all.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use relatch_testkit::{Node, On, PASSWORD, TestApp};
use serde_json::{Value, json};
use socket2::SockRef;

/// How long after the last reset everything may take to be as it stays.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often each moment is tried.
const ROUNDS: usize = 3;

/// A request as bytes.
fn request(line: &str, bearer: Option<&str>, body: &Value) -> Vec<u8> {
    let bearer = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: x\r\n{bearer}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn send(node: &Node, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(node.base().strip_prefix("http://").unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request).unwrap();
    stream
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Sends a request and resets the connection after this time. Whether there was no answer yet.
fn send_and_reset(node: &Node, request: &[u8], after: Duration) -> bool {
    let mut stream = send(node, request);
    // The moment is what is tried, there is nothing to wait for; the server has threads of its own.
    std::thread::sleep(after);
    stream.set_nonblocking(true).unwrap();
    let answered = stream.read(&mut [0; 1]);
    reset(stream);
    matches!(answered, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// When to reset, if the whole takes so long.
fn moments(whole: Duration) -> impl Iterator<Item = Duration> {
    let fixed = [0, 1, 2, 5, 10].map(Duration::from_millis).into_iter();
    let parts = (0..8).map(move |part| whole * part / 8);
    fixed.chain(parts).cycle().take(13 * ROUNDS)
}

/// A sign-in of a user who has no session yet.
struct Act {
    request: Vec<u8>,
    user: String,
}

/// How an act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    applied: bool,
    told: bool,
}

impl Seen {
    /// Nothing happened, or all of it.
    fn is_whole(self) -> bool {
        self.applied == self.told
    }
}

/// How each of the acts stands, one after the other: a crowd of questions would only make the store slow.
async fn look(app: &TestApp, acts: &[Act]) -> Vec<Seen> {
    let admin = app.admin().await;
    let mut seen = Vec::new();
    for act in acts {
        let sessions = admin.get(&format!("/admin/users/{}/sessions", act.user)).await.ok();
        let applied = !sessions["items"].as_array().unwrap().is_empty();
        seen.push(Seen { applied, told: false });
    }
    let told = admin.get("/admin/audit?limit=200&event=signed_in").await.ok();
    for record in told["items"].as_array().unwrap() {
        for (act, seen) in acts.iter().zip(&mut seen) {
            seen.told |= record["user"] == act.user;
        }
    }
    seen
}

async fn start(on: On) -> TestApp {
    on.set("rate_limit.enabled", "false").start().await
}

on_both_stores! {
    /// What ends sessions or changes something is tried in `writing`.
    async fn a_sign_in_is_told_of(on: On) {
        let app = start(on).await;
        let prepare = async |name: &str| {
            let user = app.user(name).await;
            Act { request: request("POST /login", None, &json!({"username": name, "password": PASSWORD})), user }
        };
        // As it is without a reset, which says how long it takes.
        let act = [prepare("warm").await];
        let begun = Instant::now();
        let mut stream = send(&app.node, &act[0].request);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        let whole = begun.elapsed();
        assert_eq!(look(&app, &act).await, [Seen { applied: true, told: true }], "{head:?}");

        let (mut acts, mut early) = (Vec::new(), Vec::new());
        for (number, moment) in moments(whole).enumerate() {
            let act = prepare(&format!("user-{number}")).await;
            early.push(send_and_reset(&app.node, &act.request, moment));
            acts.push(act);
        }
        let deadline = Instant::now() + PATIENCE;
        let seen = loop {
            let seen = look(&app, &acts).await;
            if seen.iter().all(|seen| seen.is_whole()) || Instant::now() > deadline {
                break seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(seen.iter().all(|seen| seen.is_whole()), "{seen:?}");
        let without_answer = seen.iter().zip(&early).filter(|(seen, early)| seen.applied && **early).count();
        assert!(without_answer > 0, "none was applied after its client had gone: {seen:?}, {early:?}");
    }

    /// Each key that has come to sign is told of. Of two rotations at once both may tell of the same key.
    async fn a_rotation_of_keys_is_whole_and_told_of(on: On) {
        let app = start(on).await;
        let admin = app.admin().await;
        let rotation = request("POST /admin/keys/rotate", Some(&admin.pair.access), &Value::Null);
        let kids = async |path: &str, of: fn(&Value) -> &Value, states: &[&str]| -> BTreeSet<String> {
            let page = admin.get(path).await.ok();
            let of_states = |item: &&Value| item["state"].as_str().is_none_or(|state| states.contains(&state));
            let items = page["items"].as_array().unwrap().iter().filter(of_states);
            items.map(|item| of(item)["kid"].as_str().unwrap().to_owned()).collect()
        };
        let keys = async |states: &[&str]| kids("/admin/keys", |key| key, states).await;
        let first = keys(&["active"]).await;
        let begun = Instant::now();
        admin.post("/admin/keys/rotate", &json!({})).await.expect(201);
        let (mut early, mut before) = (0, 1);
        for moment in moments(begun.elapsed()) {
            let is_early = send_and_reset(&app.node, &rotation, moment);
            let deadline = Instant::now() + PATIENCE;
            let rotated = loop {
                let told = kids("/admin/audit?event=key_rotated&limit=200", |record| &record["details"], &[]).await;
                let signed = keys(&["active", "retired"]).await;
                let is_whole = keys(&["active"]).await.len() == 1 && keys(&["next"]).await.len() == 1;
                if is_whole && &told | &first == signed {
                    break told.len();
                }
                assert!(Instant::now() < deadline, "told of {told:?}, but it was {signed:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            early += usize::from(is_early && rotated > before);
            before = rotated;
        }
        assert!(early > 0, "none was done after its client had gone, of {before}");
    }

    /// As long as nothing is written, a request ends with its client: a crowd that goes away costs no hashes.
    async fn a_sign_in_that_waits_for_its_hash_is_dropped(on: On) {
        let on = on.set("password.hash_threads", "1").set("password.bcrypt_cost", "10");
        let app = on.start().await;
        let admin = app.admin().await;
        let user = app.user("gone").await;
        app.user("patient").await;
        let hashed = async || {
            let node = Node::at(app.ops_base());
            let metrics = node.send(node.get("/metrics")).await.expect(200).text;
            let name = "relatch_password_hash_duration_seconds_count ";
            metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse::<u64>().unwrap()
        };
        let sign_in = |name: &str, password: &str| {
            send(&app.node, &request("POST /login", None, &json!({"username": name, "password": password})))
        };
        let until_counted = async |user: &str, tries: u64| {
            let deadline = Instant::now() + Duration::from_secs(20);
            let path = format!("/admin/users/{user}/failures");
            while admin.get(&path).await.ok()["failures"] != tries {
                assert!(Instant::now() < deadline, "{tries} do not wait for their hash");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let before = hashed().await;
        let patient: Vec<_> = (0..4).map(|_| sign_in("patient", PASSWORD)).collect();
        let gone: Vec<_> = (0..3).map(|_| sign_in("gone", "wrong")).collect();
        until_counted(&user, 3).await;
        gone.into_iter().for_each(reset);
        for mut stream in patient {
            let mut head = [0; 12];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
        }
        app.sign_in("patient").await;
        let more = hashed().await - before;
        // Some may have been at work before their client went.
        assert!((5..8).contains(&more), "five signed in, and {more} hashes were made");
        until_counted(&user, 3).await;
    }
}

on_both_stores! {
    async fn the_log_says_that_the_client_had_gone(on: On) {
        let app = on.in_own_process().set("rate_limit.enabled", "false").start().await;
        let admin = app.admin().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut number = 0;
        let lines = loop {
            number += 1;
            let id = app.user(&format!("user-{number}")).await;
            let deletion = request(&format!("DELETE /admin/users/{id}"), Some(&admin.pair.access), &Value::Null);
            send_and_reset(&app.node, &deletion, Duration::ZERO);
            let log = app.log();
            let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if lines.iter().any(|line| line["client_gone"] == true) {
                break lines;
            }
            assert!(Instant::now() < deadline, "in vain: {number}");
        };
        let gone = lines.iter().find(|line| line["client_gone"] == true).unwrap();
        assert_eq!((&gone["event"], &gone["method"], &gone["status"]), (&json!("request"), &json!("DELETE"), &json!(204)));
        let id = &gone["span"]["request_id"];
        let of_it: Vec<_> = lines.iter().filter(|line| line["span"]["request_id"] == *id).map(|line| &line["event"]).collect();
        assert_eq!(of_it, ["user_deleted", "request"]);
        let others = lines.iter().filter(|line| line["method"] == "POST" && line["event"] == "request");
        assert!(others.clone().count() > 1 && others.clone().all(|line| line.get("client_gone").is_none()));
    }
}
