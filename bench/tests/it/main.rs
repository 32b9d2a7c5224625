//! Both commands together, over a Redis of their own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod processes;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use relatch_bench::floor::sessions::{Next, Sessions, user_id};
use relatch_bench::load::connection::Connection;
use relatch_bench::load::session::Session;
use relatch_domain::attempt::AttemptKey;
use relatch_domain::ids::OriginTag;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::rotation::{self, Fresh, Presented};
use relatch_domain::session::{Authentication, Delivery};
use relatch_domain::sign_in::{NewSession, first_record};
use relatch_domain::{ClientNumber, MacKeyId, Nonce, SessionId, SessionRef, UnixMillis};
use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{crowd, load, start_floor, start_redis, start_refusing_server};

#[test]
fn a_floor_under_load_answers_every_refresh() {
    let dir = TempDir::new().unwrap();
    let (redis, url) = start_redis(dir.path());
    for algorithm in ["EdDSA", "ES256", "HS256"] {
        let (floor, address) = start_floor(dir.path(), &url, algorithm);
        let pids = [floor.pid(), redis.pid()];
        let sessions = ["--sessions", "40", "--connections", "4", "--attempt-keys"];
        let output = load(address, &[&sessions[..], &["--pid", &pids[0], "--pid", &pids[1]]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let refreshes = report["refreshes"].as_u64().unwrap();
        // More than one round, so carried-forward tokens were refreshed too.
        assert!(refreshes > 40, "{report}");
        assert_eq!(report["statuses"].as_object().unwrap().len(), 1, "{report}");
        assert!(report["statuses"]["200"].as_u64().unwrap() >= refreshes, "{report}");
        let names: Vec<&str> =
            report["cpu"].as_array().unwrap().iter().map(|cpu| cpu["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["floor", "redis-server"]);
    }
}

/// Uses the debug build of the server, which the tests of the workspace make.
#[test]
fn each_scenario_is_measured_and_answered_as_it_should_be() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("run.py");
    let target = Path::new(env!("CARGO_BIN_EXE_load")).ancestors().nth(2).unwrap();
    for scenario in ["check", "sign-in", "revoke", "mixed"] {
        let output = Command::new("python3")
            .arg(&script)
            .args(["--no-build", "--profile", "dev", "--rounds", "1", "--seconds", "0.5", "--warmup", "0.1"])
            .args(["--connections", "4", "--sessions", "40", "--algorithms", "EdDSA", "--json"])
            .args(["--scenario", scenario])
            .env("CARGO_TARGET_DIR", target)
            .output()
            .unwrap();
        assert!(output.status.success(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["settings"]["scenario"], scenario);
        let rounds = report["rounds"]["EdDSA"].as_object().unwrap();
        assert_eq!(rounds.len(), 1, "without the floor: {report}");
        assert!(rounds["relatch"][0]["rate"].as_f64().unwrap() > 10.0, "{report}");
    }
}

/// The figures of the Cluster are of all its processes. Uses the debug build of the server, which the tests of the workspace make.
#[test]
fn several_nodes_on_a_cluster_are_measured() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.py");
    let target = Path::new(env!("CARGO_BIN_EXE_load")).ancestors().nth(2).unwrap();
    let output = Command::new("python3")
        .arg(script)
        .args(["--no-build", "--profile", "dev", "--rounds", "1", "--seconds", "0.5", "--warmup", "0.1"])
        .args(["--connections", "6", "--sessions", "30", "--json"])
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let arrangements = found.as_object().unwrap();
    assert_eq!(arrangements.len(), 3);
    for (name, rounds) in arrangements {
        let round = &rounds[0];
        for figure in ["rate", "server", "primaries", "p50", "p99"] {
            assert!(round[figure].as_f64().unwrap() > 0.0, "{name}: {figure} in {round}");
        }
        assert_eq!(round["replicas"].as_f64().unwrap() > 0.0, name.contains("Cluster"), "{name}: {round}");
    }
}

#[tokio::test]
async fn a_floor_refreshes_a_token_once_and_no_forged_one() {
    let dir = TempDir::new().unwrap();
    let (_redis, url) = start_redis(dir.path());
    let (_floor, address) = start_floor(dir.path(), &url, "ES256");
    let mut connection = Connection::to(address);
    let mut session = Session::sign_in(&mut connection, address, "ada", "").await.unwrap();

    let request = session.refresh_request(address, None);
    let answer = connection.exchange(request.as_bytes()).await.unwrap();
    assert!(session.take(&answer));
    assert_eq!(connection.exchange(request.as_bytes()).await.unwrap().status, 409);

    let current = session.refresh_request(address, None);
    let without_access_token = current.replace("Authorization: Bearer", "X-Other: Bearer");
    assert_eq!(connection.exchange(without_access_token.as_bytes()).await.unwrap().status, 400);
    for (genuine, forged) in [("Bearer ey", "Bearer ex"), ("rlt1_A", "rlt1_B")] {
        assert!(current.contains(genuine));
        let request = current.replacen(genuine, forged, 1);
        assert_eq!(connection.exchange(request.as_bytes()).await.unwrap().status, 401, "{forged}");
    }
    let answer = connection.exchange(current.as_bytes()).await.unwrap();
    assert!(session.take(&answer), "what was refused consumed nothing");
}

#[tokio::test]
async fn a_rotation_writes_the_record_that_the_rules_demand() {
    let dir = TempDir::new().unwrap();
    let (_redis, url) = start_redis(dir.path());
    let sessions = Sessions::connect(&url).await.unwrap();
    let policy = RotationPolicy::default();
    let session = SessionRef { user: user_id("ada"), session: SessionId::from_bytes([7; 16]) };
    let new = NewSession {
        nonce: Nonce([0xf0; 8]),
        mac_key: MacKeyId(3),
        delivery: Delivery::Body,
        authentication: Authentication::Password,
        client: ClientNumber::FIRST_PARTY,
        dpop_bound: false,
        origin: OriginTag(5),
    };
    let mut record = first_record(&new, UnixMillis(1_700_000_000_123), &policy);
    sessions.begin(session, &record).await.unwrap();

    for step in 1..4 {
        let now = UnixMillis(1_700_000_000_123 + 60_000 * u64::from(step));
        let attempt = AttemptKey::parse(&format!("attempt-key-number-{step:04}")).unwrap().hash(session);
        let token = RefreshToken::current(session, &record);
        let next = Next {
            nonce: Nonce([step; 8]),
            attempt: Some(attempt),
            now,
            idle_deadline: policy.idle_deadline(now, record.absolute_deadline),
        };
        assert_eq!(sessions.rotate(&token, &next).await.unwrap(), Some(record));
        assert_eq!(sessions.rotate(&token, &next).await.unwrap(), None, "the token is not current any more");
        let presented = Presented::first_party(token, Some(attempt), Delivery::Body);
        let fresh = Fresh { nonce: next.nonce, mac_key: new.mac_key, origin: new.origin };
        record = rotation::next(&record, &presented, &fresh, now, &policy);
    }
}

#[test]
fn a_refused_refresh_fails_the_run_loudly() {
    let output = load(start_refusing_server(), &["--sessions", "6", "--connections", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["statuses"], serde_json::json!({ "409": 6 }));
    assert_eq!(report["failures"], 6);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("6 refreshes FAILED"), "{complaint}");
    assert!(complaint.contains("refresh_superseded"), "{complaint}");
}

#[test]
fn a_server_that_is_not_there_fails_the_run() {
    // Bound and dropped: nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = load(address, &["--sessions", "6", "--connections", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("bench0 cannot sign in"), "{complaint}");
}

#[test]
fn a_crowd_is_made_and_measured_in_both_stores_and_only_in_empty_ones() {
    let dir = TempDir::new().unwrap();
    let (_redis, url) = start_redis(dir.path());
    let file = dir.path().join("store");
    for store in [["--redis", &url], ["--file", file.to_str().unwrap()]] {
        let output = crowd(&store);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["few"], &report["many"]), (&Value::from(100), &Value::from(300)));
        let steps = report["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 9);
        for step in steps {
            let times = ["p50", "p99", "max"].map(|which| step["many"][which].as_u64().unwrap());
            assert!(times[0] > 0 && times.is_sorted(), "{step}");
        }
        let again = crowd(&store);
        assert!(!again.status.success());
        assert!(String::from_utf8_lossy(&again.stderr).contains("has users"));
    }
}
