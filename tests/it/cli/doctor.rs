//! `relatch doctor`, on processes that are set up badly on purpose.

use std::os::unix::fs::PermissionsExt as _;

use relatch::store::redis::RedisSettings;
use relatch::store::redis::inspect::inspect;
use relatch_domain::UnixMillis;
use relatch_testkit::clock::ManualClock;
use relatch_testkit::redis_group::{RedisCluster, SentinelSet};
use relatch_testkit::redis_server::{RedisServer, RedisServerBuilder};
use serde_json::Value;

use super::{command, complaints, run};

/// What is found, with the exit code.
fn doctor(url: &str, more: &[(&str, &str)]) -> (i32, Vec<String>) {
    let mut variables = vec![
        ("RELATCH__STORE__URL".to_owned(), url.to_owned()),
        ("RELATCH__MASTER_KEY".to_owned(), relatch_testkit::app::master_key()),
    ];
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let dir = tempfile::tempdir().unwrap();
    let output = run(command(dir.path(), &variables, &["doctor", "--json"]), "");
    let code = output.status.code().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.lines().map(|line| {
        let finding: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for said in ["what", "why", "change"] {
            assert!(!finding[said].as_str().unwrap().is_empty(), "{finding}");
        }
        finding["finding"].as_str().unwrap().to_owned()
    });
    let found: Vec<_> = found.collect();
    assert_eq!(complaints(output.stderr).contains(" to mend"), code == 1, "{found:?}");
    (code, found)
}

fn wrong(found: &[&str]) -> (i32, Vec<String>) {
    (1, found.iter().map(|finding| (*finding).to_owned()).collect())
}

/// As it should be.
fn good() -> RedisServerBuilder {
    RedisServer::builder().append_only().args(["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"])
}

#[tokio::test]
async fn nothing_is_wrong_with_a_good_redis_and_text_says_so() {
    let server = good().password("sesame").start().await;
    let password = ("RELATCH__STORE__PASSWORD", "sesame");
    assert_eq!(doctor(&server.url().replace(":sesame@", ""), &[password]), (0, vec![]));
    let before = server.say("DBSIZE");
    let variables = [
        ("RELATCH__STORE__URL".to_owned(), server.url()),
        ("RELATCH__MASTER_KEY".to_owned(), relatch_testkit::app::master_key()),
    ];
    let dir = tempfile::tempdir().unwrap();
    let output = run(command(dir.path(), &variables, &["doctor"]), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "nothing is wrong\n");
    assert_eq!((server.say("DBSIZE"), before.as_str()), (":0".to_owned(), ":0"), "nothing was written");

    assert_eq!(server.say("CONFIG SET maxmemory-policy allkeys-lru"), "+OK");
    let output = run(command(dir.path(), &variables, &["doctor"]), "");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("error: {}: maxmemory-policy is allkeys-lru", server.address()));
    assert!(lines[1].starts_with("  why:    when memory is short Redis throws sessions away"), "{text}");
    assert_eq!(lines[2], "  change: maxmemory-policy noeviction");
}

#[tokio::test]
async fn each_thing_that_is_wrong_with_one_redis_is_found() {
    let mut server = good().start().await;
    let url = server.url();
    let used: u64 = server
        .told("INFO memory")
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:")?.parse().ok())
        .unwrap();
    let nearly = (used + used / 20).to_string();
    for (key, bad, finding) in [
        ("maxmemory-policy", "volatile-lru", "eviction"),
        ("maxmemory", "0", "no_memory_limit"),
        ("maxmemory", nearly.as_str(), "memory_full"),
        ("appendfsync", "no", "no_fsync"),
        ("appendonly", "no", "no_append_only_file"),
        ("hash-max-listpack-value", "32", "listpack"),
        ("hash-max-listpack-entries", "64", "listpack"),
        ("maxclients", "1", "clients_full"),
    ] {
        let usual = server.told(&format!("CONFIG GET {key}"));
        let usual = usual.lines().last().unwrap().to_owned();
        assert_eq!(server.say(&format!("CONFIG SET {key} {bad}")), "+OK");
        assert_eq!(doctor(&url, &[]), wrong(&[finding]), "{key} {bad}");
        if key == "maxclients" {
            break;
        }
        assert_eq!(server.say(&format!("CONFIG SET {key} {usual}")), "+OK");
    }
    server.restart().await;
    assert_eq!(doctor(&url, &[]), (0, vec![]));
    assert_eq!(doctor(&url, &[("RELATCH__STORE__SYNC_REPLICAS", "1")]), wrong(&["too_few_replicas"]));
    let marker = r#"SET relatch:marker {\"store_id\":\"x\",\"issuer\":\"https://other.example\",\"master_key_check\":\"y\"}"#;
    let marker = format!("{} ", marker.replacen('{', "\"{", 1)).trim_end().to_owned() + "\"";
    assert_eq!(server.say(&marker), "+OK");
    assert_eq!(doctor(&url, &[]), wrong(&["another_store"]));
    assert_eq!(server.say("DEL relatch:marker"), ":1");
    server.fail_a_snapshot().await;
    assert_eq!(doctor(&url, &[]), wrong(&["disk"]));
    server.kill();
    assert_eq!(doctor(&url, &[]), wrong(&["silent"]));
}

#[tokio::test]
async fn an_embedded_store_that_others_can_open_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("data");
    let variables = [("RELATCH__STORE__URL".to_owned(), format!("redb:{}/relatch.redb", folder.display()))];
    let with_key =
        [variables[0].clone(), ("RELATCH__MASTER_KEY".to_owned(), relatch_testkit::app::master_key())];
    let found = |variables: &[(String, String)]| {
        let output = run(command(dir.path(), variables, &["doctor", "--json"]), "");
        let text = String::from_utf8(output.stdout).unwrap();
        let findings = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let named = findings.map(|found| {
            let file = found["at"].as_str().unwrap().rsplit('/').next().unwrap();
            format!("{} {file}", found["finding"].as_str().unwrap())
        });
        (output.status.code().unwrap(), named.collect::<Vec<_>>())
    };
    assert_eq!(found(&variables), (0, vec!["no_file relatch.redb".to_owned()]));
    std::fs::create_dir(&folder).unwrap();
    let make = |name: &str, mode| {
        let path = folder.join(name);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    make("relatch.redb", 0o600);
    make("master.key", 0o600);
    assert_eq!(found(&variables), (0, vec![]));
    for mode in [0o644, 0o640, 0o602, 0o620] {
        make("master.key", mode);
        let (code, findings) = found(&variables);
        assert_eq!((code, &findings[..]), (1, &["master_key_mode master.key".to_owned()][..]), "{mode:o}");
    }
    // It is not the key in use.
    assert_eq!(found(&with_key), (0, vec![]));
    make("relatch.redb", 0o644);
    let both = ["file_mode relatch.redb", "master_key_mode master.key"].map(str::to_owned);
    assert_eq!(found(&variables), (1, both.to_vec()));
}

#[tokio::test]
async fn a_redis_user_who_may_too_little_is_found() {
    let server = good().start().await;
    let url = format!("redis://relatch:sesame@{}", server.address());
    for (rights, finding) in [
        ("~relatch:* +@all -@dangerous +info", None),
        ("~relatch:* +@all -@dangerous +info -@scripting", Some("rights")),
        ("~relatch:* +@all -@dangerous +info -xadd", Some("rights")),
        ("~other:* +@all -@dangerous +info", Some("rights")),
        ("~relatch:* +@all -@dangerous", Some("silent")),
    ] {
        let set = format!("ACL SETUSER relatch reset on >sesame {rights}");
        assert_eq!(server.say(&set), "+OK");
        let (code, found) = doctor(&url, &[]);
        let hidden = "configuration_hidden".to_owned();
        match finding {
            None => assert_eq!((code, found), (0, vec![hidden])),
            Some("silent") => assert_eq!((code, found), (1, vec!["silent".to_owned()])),
            Some(finding) => assert_eq!((code, found), (1, vec![finding.to_owned(), hidden]), "{rights}"),
        }
    }
}

#[tokio::test]
async fn a_replica_without_its_primary_and_a_wrong_clock_are_found() {
    let lost = good().args(["--replicaof", "127.0.0.1", "1"]).start().await;
    assert_eq!(doctor(&lost.url(), &[]), wrong(&["replica_address", "replica_not_linked"]));
    let server = good().start().await;
    let settings = RedisSettings::at(server.url());
    let slow = ManualClock::at(UnixMillis(1_000_000));
    let facts = inspect(&settings, &slow).await.unwrap();
    let found = relatch::doctor::judge(&facts, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].finding, "clock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_set_behind_sentinels_is_found() {
    let args = ["--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction"];
    let guard = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"];
    let mut set = SentinelSet::builder().args(args).args(guard).start().await;
    let url = set.url();
    assert_eq!(doctor(&url, &[]), (0, vec![]));
    assert_eq!(doctor(&url, &[("RELATCH__STORE__SYNC_REPLICAS", "0")]), wrong(&["unsynced"]));
    let primary = set.primary();
    for (key, bad, usual) in [("min-replicas-to-write", "0", "1"), ("min-replicas-max-lag", "60", "10")] {
        assert_eq!(set.node(primary).say(&format!("CONFIG SET {key} {bad}")), "+OK");
        assert_eq!(doctor(&url, &[]), wrong(&["isolated_primary"]));
        assert_eq!(set.node(primary).say(&format!("CONFIG SET {key} {usual}")), "+OK");
    }
    for (key, bad, usual, finding) in
        [("quorum", "1", "2", "quorum"), ("down-after-milliseconds", "60000", "1000", "slow_failover")]
    {
        assert_eq!(set.tell_sentinel(1, &format!("SENTINEL SET relatch {key} {bad}")), "+OK\r\n");
        assert_eq!(doctor(&url, &[]), wrong(&[finding]));
        assert_eq!(set.tell_sentinel(1, &format!("SENTINEL SET relatch {key} {usual}")), "+OK\r\n");
    }
    set.pause_sentinel(2, true);
    assert_eq!(doctor(&url, &[]), wrong(&["silent"]));
    set.pause_sentinel(2, false);
    for replica in set.replicas() {
        set.node(replica).kill();
    }
    let begun = std::time::Instant::now();
    loop {
        let (code, found) = doctor(&url, &[]);
        let all = ["silent", "too_few_replicas", "no_successor"];
        if all.iter().all(|finding| found.iter().any(|other| other == finding)) {
            assert_eq!(code, 1);
            break;
        }
        assert!(begun.elapsed().as_secs() < 20, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_cluster_is_found() {
    let args = ["--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction"];
    let mut cluster =
        RedisCluster::builder().args(args).args(["--cluster-require-full-coverage", "no"]).start().await;
    let url = cluster.url();
    assert_eq!(doctor(&url, &[]), (0, vec![]));
    let primary = cluster.primary_of(0);
    for (key, bad, usual, code, finding) in [
        ("cluster-require-full-coverage", "yes", "no", 0, "full_coverage"),
        ("cluster-node-timeout", "60000", "1500", 1, "slow_failover"),
    ] {
        assert_eq!(cluster.node(primary).say(&format!("CONFIG SET {key} {bad}")), "+OK");
        assert_eq!(doctor(&url, &[]), (code, vec![finding.to_owned()]));
        assert_eq!(cluster.node(primary).say(&format!("CONFIG SET {key} {usual}")), "+OK");
    }
    let replica = cluster.replica_of(primary).unwrap();
    cluster.node(replica).kill();
    let begun = std::time::Instant::now();
    loop {
        let (_, found) = doctor(&url, &[]);
        if ["silent", "no_successor", "too_few_replicas"]
            .iter()
            .all(|finding| found.iter().any(|other| other == finding))
        {
            break;
        }
        assert!(begun.elapsed().as_secs() < 20, "{found:?}");
    }
    cluster.node(replica).restart().await;
    cluster.until_ok().await;
    for node in cluster.nodes() {
        assert_eq!(node.say("CLUSTER DELSLOTS 0"), "+OK");
    }
    let (code, found) = doctor(&url, &[]);
    assert!(code == 1 && found.iter().all(|finding| finding == "slots_not_served"), "{found:?}");
}
