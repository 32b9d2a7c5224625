//! What goes through the socket: a line of JSON each way, long lists in pages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use relatch::operator::socket::ask;
use relatch::operator::{AuditFilter, Command, Reply};
use relatch_testkit::On;
use relatch_testkit::cutter::{CutterProxy, Fate, Lasts};
use relatch_testkit::redis_server::RedisServer;
use serde_json::Value;
use tempfile::TempDir;

use super::Place;

impl Place {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }
}

/// What the server answers to a line.
fn told(place: &Place, line: &str) -> Value {
    let mut stream = UnixStream::connect(place.socket()).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test]
async fn lists_go_on_where_a_page_ended() {
    let place = Place::embedded().await;
    place.app.user("ada").await;
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.push(place.app.sign_in("ada").await.session_id);
    }
    let (mut sessions, mut after) = (Vec::new(), None);
    loop {
        let command = Command::SessionList { user: "ada".to_owned(), all: false, after, limit: 3 };
        let Reply::Sessions { sessions: page, next } = ask(&place.socket(), &command).await.unwrap() else {
            panic!("something else")
        };
        sessions.extend(page.into_iter().map(|session| session.session_id));
        after = next;
        if after.is_none() {
            break;
        }
        assert_eq!(sessions.len(), 3);
    }
    sessions.sort();
    let mut all = expected.clone();
    all.sort();
    assert_eq!(sessions, all);

    let filter =
        AuditFilter { event: Some("signed_in".to_owned()), user: Some("ada".to_owned()), actor: None };
    let (mut signed_in, mut before) = (Vec::new(), None);
    loop {
        let command = Command::AuditPage { filter: filter.clone(), before, limit: 1 };
        let Reply::Audit { records, next } = ask(&place.socket(), &command).await.unwrap() else {
            panic!("something else")
        };
        assert!(records.len() <= 1);
        signed_in.extend(records.into_iter().filter_map(|record| record.session));
        before = next;
        if before.is_none() {
            break;
        }
    }
    signed_in.reverse();
    assert_eq!(signed_in, expected, "the latest first");
}

#[tokio::test]
async fn what_another_version_says_is_refused_in_words() {
    let place = Place::embedded().await;
    for line in [
        "{\"command\":\"user_praise\"}\n",
        "{\"command\":\"user_show\",\"user\":\"a\",\"loud\":true}\n",
        "x\n",
    ] {
        let answer = told(&place, line);
        assert_eq!(answer["reply"], "refused", "{line}");
        assert!(answer["message"].as_str().unwrap().contains("another version"), "{answer}");
    }
    for line in [
        "{\"command\":\"session_list\",\"user\":\"admin\",\"all\":true,\"after\":\"x\",\"limit\":1}\n",
        "{\"command\":\"audit_page\",\"filter\":{},\"before\":\"1.2\",\"limit\":1}\n",
    ] {
        let message = told(&place, line)["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("not a place in "), "{message}");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_connection_that_says_nothing() {
    let place = Place::embedded().await;
    let _silent: Vec<_> = (0..600).map(|_| UnixStream::connect(place.socket()).unwrap()).collect();
    let started = Instant::now();
    assert_eq!(place.object(&["user", "show", "admin"])["username"], "admin");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_command_whose_client_goes_away_is_carried_out_and_told_of() {
    for place in [Place::embedded().await, Place::redis_through_a_socket().await] {
        let admin = place.app.admin().await;
        let mut users = Vec::new();
        for number in 0..10 {
            let name = format!("user-{number}");
            users.push(place.app.user(&name).await);
            let mut stream = UnixStream::connect(place.socket()).unwrap();
            let line = format!("{{\"command\":\"user_delete\",\"user\":\"{name}\"}}\n");
            stream.write_all(line.as_bytes()).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        for user in users {
            let told = async || {
                let told = admin.get(&format!("/admin/audit?event=user_deleted&user={user}")).await.ok();
                told["items"][0]["actor"]["kind"] == "operator"
            };
            while !told().await {
                assert!(Instant::now() < deadline, "{user} was not deleted, or it was not told of");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            admin.get(&format!("/admin/users/{user}")).await.problem(404, "not_found");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_under_way_is_answered_before_the_server_stops() {
    let (redis, dir) = (RedisServer::start().await, TempDir::new().unwrap());
    let proxy = CutterProxy::to(redis.address()).await;
    let socket = dir.path().join("admin.sock");
    let on = On::store_at(proxy.url()).set("admin.socket", socket.to_str().unwrap());
    let app = on.in_own_process().start().await;
    proxy.cutter.learn_background().await;
    // The store does not answer until the server gives it up.
    proxy.cutter.arm(1, Fate::Held, Lasts::Once);
    let there = socket.clone();
    let command = Command::KeyRotate { revoke: None };
    let asked = tokio::spawn(async move { ask(&there, &command).await });
    // Another one has connected and says nothing.
    let _silent = UnixStream::connect(&socket).unwrap();
    proxy.cutter.until_met().await;
    app.terminate();
    let reply = asked.await.unwrap().unwrap();
    assert!(matches!(reply, Reply::Refused { .. } | Reply::Key { .. }), "{reply:?}");
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(3), "the server waits for who says nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
