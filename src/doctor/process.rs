//! What one Redis process must be like.

use std::time::Duration;

use super::Severity::{Error, Note, Warning};
use super::clock::ClockOffset;
use super::{Findings, Severity};
use crate::store::redis::inspect::{Facts, Fields, Layout, ProcessFacts};

/// A round trip of more than this is felt in every refresh.
const SLOW: Duration = Duration::from_millis(5);
/// Replicas that are further behind lose much in a failover, in bytes and seconds.
const BEHIND: u64 = 1024 * 1024;
const LATE: u64 = 10;

pub(super) fn judge(facts: &Facts, process: &ProcessFacts, sync_replicas: u8, findings: &mut Findings) {
    version(&process.info, findings);
    memory(process, findings);
    persistence(process, findings);
    encoding(process, findings);
    access(facts, process, findings);
    pace(process, findings);
    if process.is_primary() {
        primary(facts, process, sync_replicas, findings);
    } else {
        replica(process, findings);
    }
    if process.config.is_none() {
        findings.add(
            Note,
            "configuration_hidden",
            "CONFIG GET is not allowed, so not everything could be looked at",
            "what cannot be seen is not vouched for",
            "run the doctor once as a Redis user who may do it (+config|get)",
        );
    }
}

fn version(info: &Fields, findings: &mut Findings) {
    let version = info.text("redis_version").unwrap_or_default();
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
    if major < 7 {
        findings.add(
            Error,
            "version",
            format!("the version is {version}"),
            "before 7.0 scripts cannot say that they may run when memory is short: a full Redis would stop revocations",
            "upgrade to Redis 7.0 or later",
        );
    }
}

fn memory(process: &ProcessFacts, findings: &mut Findings) {
    let info = &process.info;
    if let Some(policy) = info.text("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        findings.add(
            Error,
            "eviction",
            format!("maxmemory-policy is {policy}"),
            "when memory is short Redis throws sessions away: honest devices are signed out, and revocations forgotten",
            "maxmemory-policy noeviction",
        );
    }
    match (info.number("maxmemory"), info.number("used_memory")) {
        (Some(0), _) => findings.add(
            Warning,
            "no_memory_limit",
            "maxmemory is not set",
            "the operating system ends a Redis that outgrows the machine; with a limit it refuses what adds to it and serves on",
            "maxmemory, at three quarters of what the machine has for it",
        ),
        (Some(most), Some(used)) if used / 9 > most / 10 => findings.add(
            Warning,
            "memory_full",
            format!("{used} of {most} bytes are in use"),
            "sign-ins are refused when memory is full",
            "give it more maxmemory, or fewer sessions (sessions.max_per_user, refresh_token.idle_ttl)",
        ),
        _ => {}
    }
    if let (Some(clients), Some(most)) = (info.number("connected_clients"), info.number("maxclients"))
        && clients * 10 > most * 9
    {
        findings.add(
            Warning,
            "clients_full",
            format!("{clients} of {most} connections are in use"),
            "a server that finds no connection answers 503",
            "maxclients",
        );
    }
}

fn persistence(process: &ProcessFacts, findings: &mut Findings) {
    let (info, config) = (&process.info, process.config.as_ref());
    let why = "what Redis has not written down is lost when it stops: sign-ins and revocations";
    if info.is("aof_enabled", "0") {
        let no_snapshots = config.is_some_and(|config| config.is("save", ""));
        let (severity, what): (Severity, _) = if no_snapshots {
            (Error, "nothing is ever written to disk")
        } else {
            (Warning, "only snapshots are written to disk, minutes apart")
        };
        findings.add(severity, "no_append_only_file", what, why, "appendonly yes");
    } else if config.is_some_and(|config| config.is("appendfsync", "no")) {
        findings.add(Warning, "no_fsync", "appendfsync is no", why, "appendfsync everysec");
    }
    for (field, what) in [
        ("aof_last_write_status", "the append-only file could not be written"),
        ("aof_last_bgrewrite_status", "the append-only file could not be rewritten"),
        ("rdb_last_bgsave_status", "the last snapshot could not be written"),
    ] {
        if info.text(field).is_some_and(|status| status != "ok") {
            let change = "look into Redis' log: the disk is full, or not Redis' to write to";
            findings.add(Error, "disk", what, "Redis refuses writes, or loses them when it stops", change);
        }
    }
}

fn encoding(process: &ProcessFacts, findings: &mut Findings) {
    let Some(config) = &process.config else { return };
    for (key, least) in [("hash-max-listpack-value", 64), ("hash-max-listpack-entries", 128)] {
        if let Some(value) = config.number(key).filter(|value| *value < least) {
            findings.add(
                Warning,
                "listpack",
                format!("{key} is {value}"),
                "sessions take up about twice the memory",
                format!("{key} {least}, which is the default"),
            );
        }
    }
    if let Some(seconds) = config.number("timeout").filter(|seconds| *seconds > 0) {
        findings.add(
            Note,
            "idle_timeout",
            format!("timeout is {seconds} s"),
            "connections that are idle for so long are closed, and opened anew by the next request",
            "timeout 0",
        );
    }
}

fn access(facts: &Facts, process: &ProcessFacts, findings: &mut Findings) {
    if !process.refused.is_empty() {
        findings.add(
            Error,
            "rights",
            format!("the Redis user may not: {}", process.refused.join(", ")),
            "requests that need it fail",
            "ACL SETUSER: ~relatch:* +@all -@dangerous +info +cluster|nodes, with your store.key_prefix",
        );
    }
    if !process.is_local && !facts.is_tls {
        findings.add(
            Warning,
            "no_tls",
            "the way to it is not protected by TLS",
            "whoever listens on the network reads the password of Redis and everything after it",
            "a URL that begins with rediss, and tls-port in redis.conf; or a network that nobody else is on",
        );
    }
    let config = process.config.as_ref();
    let is_open = config.is_some_and(|config| {
        let binds = config.text("bind").unwrap_or_default();
        let is_loopback = |bind: &str| {
            let address = bind.trim_start_matches('-').parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        };
        config.is("protected-mode", "no") && !binds.split_ascii_whitespace().all(is_loopback)
    });
    if !facts.has_password && (is_open || !process.is_local) {
        findings.add(
            Error,
            "no_password",
            "it takes whoever comes over the network without a password",
            "whoever reaches it can sign anybody in and delete everything",
            "requirepass, or an ACL user, and the same in store.password_file",
        );
    }
}

fn pace(process: &ProcessFacts, findings: &mut Findings) {
    if process.round_trip > SLOW {
        findings.add(
            Warning,
            "slow",
            format!("a round trip takes {} ms (median)", process.round_trip.as_millis()),
            "every refresh waits for one",
            "bring it nearer, or find out what it does meanwhile: SLOWLOG GET, LATENCY DOCTOR",
        );
    }
    let error = u64::try_from(process.round_trip.as_millis() / 2).unwrap_or(u64::MAX);
    let offset = ClockOffset { at: process.at.clone(), ahead: process.clock_ahead, error };
    findings.found.extend(offset.finding());
    if process.info.is("loading", "1") {
        let change = "wait until it has loaded its data";
        findings.add(
            Error,
            "loading",
            "it is loading its data",
            "nothing is served from it until then",
            change,
        );
    }
}

fn primary(facts: &Facts, process: &ProcessFacts, sync_replicas: u8, findings: &mut Findings) {
    let replicas: Vec<_> =
        (0..16).filter_map(|number| process.info.text(&format!("slave{number}"))).collect();
    let online = replicas.iter().filter(|replica| replica.contains("state=online")).count();
    let is_empty_shard =
        facts.layout == Layout::Cluster && !facts.shards.iter().any(|(at, _)| *at == process.at);
    if is_empty_shard {
        return;
    }
    if online < usize::from(sync_replicas) {
        findings.add(
            Error,
            "too_few_replicas",
            format!("{online} replicas are online, store.sync_replicas is {sync_replicas}"),
            "revocations are answered 503, for they cannot be made durable",
            "start the missing replicas, or lower store.sync_replicas",
        );
    }
    for replica in replicas {
        let of = |name: &str| replica.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let offset = of("offset").and_then(|offset| offset.parse::<u64>().ok()).unwrap_or_default();
        let behind = process.info.number("master_repl_offset").unwrap_or_default().saturating_sub(offset);
        let late: u64 = of("lag").and_then(|lag| lag.parse().ok()).unwrap_or_default();
        if behind > BEHIND || late > LATE {
            findings.add(
                Warning,
                "replica_behind",
                format!(
                    "its replica {}:{} is {behind} bytes and {late} s behind",
                    of("ip").unwrap_or("?"),
                    of("port").unwrap_or("?")
                ),
                "a failover loses what the replica has not received",
                "find out what keeps it: its disk, its processor or the network",
            );
        }
    }
    // In a Cluster one that does not reach most of the others stops by itself.
    if facts.layout == Layout::Sentinel
        && let Some(config) = &process.config
    {
        isolation(config, findings);
    }
}

/// What a primary that is cut off does.
fn isolation(config: &Fields, findings: &mut Findings) {
    let why = "a primary that is cut off from the others goes on serving whoever is on its side, without hearing of revocations";
    if config.is("min-replicas-to-write", "0") {
        findings.add(
            Warning,
            "isolated_primary",
            "min-replicas-to-write is 0",
            why,
            "min-replicas-to-write 1 and min-replicas-max-lag 10 (with a single replica, its failure stops writes)",
        );
    } else if let Some(lag) = config.number("min-replicas-max-lag").filter(|lag| *lag == 0 || *lag > LATE) {
        findings.add(
            Warning,
            "isolated_primary",
            format!("min-replicas-max-lag is {lag} s"),
            why,
            "min-replicas-max-lag 10",
        );
    }
}

fn replica(process: &ProcessFacts, findings: &mut Findings) {
    if process.info.text("master_link_status").is_some_and(|status| status != "up") {
        findings.add(
            Error,
            "replica_not_linked",
            "it is a replica without a link to its primary",
            "it receives nothing, and would lack all of it if it were promoted",
            "look into its log: masterauth, TLS, the network, or a primary that does not answer",
        );
    }
    if process.info.is("slave_read_only", "0") {
        findings.add(
            Warning,
            "writable_replica",
            "replica-read-only is no",
            "what is written to it by mistake is not what the primary has",
            "replica-read-only yes",
        );
    }
}
