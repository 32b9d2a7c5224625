use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::store::redis::inspect::{Fields, Layout, ProcessFacts, SentinelFacts};

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// A Redis with nothing to be found.
fn good() -> ProcessFacts {
    ProcessFacts {
        at: "127.0.0.1:6379".into(),
        is_local: true,
        info: fields(&[
            ("redis_version", "7.0.15"),
            ("role", "master"),
            ("maxmemory", "1000000"),
            ("used_memory", "100000"),
            ("maxmemory_policy", "noeviction"),
            ("connected_clients", "10"),
            ("maxclients", "10000"),
            ("aof_enabled", "1"),
            ("aof_last_write_status", "ok"),
            ("aof_last_bgrewrite_status", "ok"),
            ("rdb_last_bgsave_status", "ok"),
            ("master_repl_offset", "5000000"),
            ("slave0", "ip=10.0.0.2,port=6379,state=online,offset=5000000,lag=0"),
        ]),
        config: Some(fields(&[
            ("save", ""),
            ("appendfsync", "everysec"),
            ("hash-max-listpack-value", "64"),
            ("hash-max-listpack-entries", "128"),
            ("timeout", "0"),
            ("bind", "127.0.0.1"),
            ("protected-mode", "yes"),
            ("min-replicas-to-write", "1"),
            ("min-replicas-max-lag", "10"),
            ("cluster-node-timeout", "5000"),
            ("cluster-require-full-coverage", "no"),
        ])),
        cluster: fields(&[
            ("cluster_state", "ok"),
            ("cluster_slots_assigned", "16384"),
            ("cluster_slots_ok", "16384"),
        ]),
        refused: Vec::new(),
        clock_ahead: 3,
        round_trip: Duration::from_micros(200),
    }
}

fn sentinel() -> SentinelFacts {
    SentinelFacts {
        at: "127.0.0.1:26379".into(),
        primary: fields(&[
            ("ip", "127.0.0.1"),
            ("port", "6379"),
            ("num-other-sentinels", "2"),
            ("quorum", "2"),
            ("down-after-milliseconds", "5000"),
        ]),
        replicas: vec![fields(&[("flags", "slave"), ("slave-priority", "100")])],
    }
}

fn facts(layout: Layout, processes: Vec<ProcessFacts>) -> Facts {
    let sentinels = if layout == Layout::Sentinel { vec![sentinel(); 3] } else { Vec::new() };
    let shards = vec![("127.0.0.1:6379".to_owned(), 1)];
    Facts { layout, is_tls: false, has_password: false, processes, sentinels, silent: Vec::new(), shards }
}

fn found(facts: &Facts, sync_replicas: u8) -> Vec<&'static str> {
    judge(facts, sync_replicas).into_iter().map(|finding| finding.finding).collect()
}

/// What is found of a process that is good but for a change.
fn of(change: impl Fn(&mut ProcessFacts)) -> Vec<&'static str> {
    let mut process = good();
    change(&mut process);
    found(&facts(Layout::Sentinel, vec![process]), 1)
}

fn info(name: &'static str, value: &'static str) -> Vec<&'static str> {
    of(|process| drop(process.info.0.insert(name.to_owned(), value.to_owned())))
}

fn config(name: &'static str, value: &'static str) -> Vec<&'static str> {
    of(|process| {
        let config = process.config.get_or_insert_with(|| Fields(BTreeMap::new()));
        config.0.insert(name.to_owned(), value.to_owned());
    })
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for layout in [Layout::Single, Layout::Sentinel, Layout::Cluster] {
        assert_eq!(found(&facts(layout, vec![good()]), 1), Vec::<&str>::new(), "{layout:?}");
    }
}

#[test]
fn each_rule_of_a_process_finds_what_it_is_for_and_nothing_else() {
    assert_eq!(info("redis_version", "6.2.14"), ["version"]);
    assert_eq!(info("redis_version", "10.0.0"), Vec::<&str>::new());
    assert_eq!(info("maxmemory_policy", "allkeys-lru"), ["eviction"]);
    assert_eq!(info("maxmemory", "0"), ["no_memory_limit"]);
    assert_eq!(info("used_memory", "950000"), ["memory_full"]);
    assert_eq!(info("connected_clients", "9500"), ["clients_full"]);
    assert_eq!(info("aof_enabled", "0"), ["no_append_only_file"]);
    for status in ["aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"] {
        assert_eq!(info(status, "err"), ["disk"], "{status}");
    }
    assert_eq!(info("loading", "1"), ["loading"]);
    assert_eq!(info("slave0", "ip=h,port=1,state=wait_bgsave,offset=5000000,lag=0"), ["too_few_replicas"]);
    assert_eq!(info("slave0", "ip=h,port=1,state=online,offset=5000000,lag=11"), ["replica_behind"]);
    assert_eq!(info("slave0", "ip=h,port=1,state=online,offset=3000000,lag=0"), ["replica_behind"]);
    assert_eq!(config("appendfsync", "no"), ["no_fsync"]);
    assert_eq!(config("hash-max-listpack-value", "32"), ["listpack"]);
    assert_eq!(config("hash-max-listpack-entries", "64"), ["listpack"]);
    assert_eq!(config("timeout", "300"), ["idle_timeout"]);
    assert_eq!(config("min-replicas-to-write", "0"), ["isolated_primary"]);
    assert_eq!(config("min-replicas-max-lag", "60"), ["isolated_primary"]);
    assert_eq!(of(|process| process.refused = vec!["WAIT 1 1".into()]), ["rights"]);
    assert_eq!(of(|process| process.round_trip = Duration::from_millis(6)), ["slow"]);
    assert_eq!(of(|process| process.clock_ahead = -1500), ["clock"]);
    assert_eq!(of(|process| process.clock_ahead = 11_000), ["clock"]);
    assert_eq!(of(|process| process.config = None), ["configuration_hidden"]);
    let open = |process: &mut ProcessFacts| {
        let config = process.config.as_mut().unwrap();
        config.0.insert("bind".into(), "* -::*".into());
        config.0.insert("protected-mode".into(), "no".into());
    };
    assert_eq!(of(open), ["no_password"]);
    assert_eq!(of(|process| process.is_local = false), ["no_password", "no_tls"]);
    let replica = |name: &'static str, value: &'static str| {
        of(|process| {
            process.info.0.insert("role".into(), "slave".into());
            process.info.0.insert(name.into(), value.into());
        })
    };
    assert_eq!(replica("master_link_status", "down"), ["replica_not_linked"]);
    assert_eq!(replica("slave_read_only", "0"), ["writable_replica"]);
}

#[test]
fn one_address_must_lead_to_the_primary() {
    let mut replica = good();
    replica.info.0.insert("role".into(), "slave".into());
    assert_eq!(found(&facts(Layout::Single, vec![replica.clone()]), 1), ["replica_address"]);
    // Behind Sentinels and in a Cluster there are replicas beside it.
    assert_eq!(found(&facts(Layout::Sentinel, vec![good(), replica.clone()]), 1), Vec::<&str>::new());
    assert_eq!(found(&facts(Layout::Cluster, vec![good(), replica]), 1), Vec::<&str>::new());
}

#[test]
fn each_rule_of_a_group_finds_what_it_is_for() {
    let mut set = facts(Layout::Sentinel, vec![good()]);
    assert_eq!(found(&set, 0), ["unsynced"]);
    set.silent.push(("Sentinel 127.0.0.1:1".into(), "refused".into()));
    assert_eq!(found(&set, 1), ["silent"]);
    set.silent.clear();
    let with = |name: &str, value: &str| {
        let mut changed = set.clone();
        changed
            .sentinels
            .iter_mut()
            .for_each(|one| drop(one.primary.0.insert(name.to_owned(), value.to_owned())));
        changed.sentinels.truncate(1);
        found(&changed, 1)
    };
    assert_eq!(with("num-other-sentinels", "1"), ["too_few_sentinels"]);
    assert_eq!(with("quorum", "1"), ["quorum"]);
    assert_eq!(with("down-after-milliseconds", "60000"), ["slow_failover"]);
    for replicas in
        [vec![], vec![fields(&[("flags", "slave,s_down")])], vec![fields(&[("slave-priority", "0")])]]
    {
        let mut changed = set.clone();
        changed.sentinels.iter_mut().for_each(|one| one.replicas.clone_from(&replicas));
        changed.sentinels.truncate(1);
        assert_eq!(found(&changed, 1), ["no_successor"]);
    }
    set.sentinels[1].primary.0.insert("port".into(), "6380".into());
    assert_eq!(found(&set, 1), ["sentinels_disagree"]);

    let cluster = |change: &dyn Fn(&mut Facts)| {
        let mut cluster = facts(Layout::Cluster, vec![good()]);
        change(&mut cluster);
        found(&cluster, 1)
    };
    let says = |name: &'static str, value: &'static str| {
        cluster(&|cluster| drop(cluster.processes[0].cluster.0.insert(name.into(), value.into())))
    };
    assert_eq!(says("cluster_state", "fail"), ["cluster_down"]);
    assert_eq!(says("cluster_slots_assigned", "16383"), ["slots_not_served"]);
    assert_eq!(cluster(&|cluster| cluster.shards[0].1 = 0), ["no_successor"]);
    let has = |name: &'static str, value: &'static str| {
        cluster(&|cluster| {
            cluster.processes[0].config.as_mut().unwrap().0.insert(name.into(), value.into());
        })
    };
    assert_eq!(has("min-replicas-to-write", "0"), Vec::<&str>::new(), "one that is cut off stops by itself");
    assert_eq!(has("cluster-node-timeout", "60000"), ["slow_failover"]);
    assert_eq!(has("cluster-require-full-coverage", "yes"), ["full_coverage"]);
}

#[test]
fn the_worst_comes_first_and_says_why_and_what_to_change() {
    let mut process = good();
    process.info.0.insert("maxmemory_policy".into(), "volatile-ttl".into());
    let config = process.config.as_mut().unwrap();
    config.0.insert("timeout".into(), "9".into());
    config.0.insert("appendfsync".into(), "no".into());
    let findings = judge(&facts(Layout::Single, vec![process]), 0);
    let severities: Vec<_> = findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Note]);
    for finding in findings {
        assert!(!finding.why.is_empty() && !finding.change.is_empty());
        assert_eq!(finding.at.as_deref(), Some("127.0.0.1:6379"));
    }
}
