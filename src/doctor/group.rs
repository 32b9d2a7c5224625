//! What processes that belong together must be like.

use super::Findings;
use super::Severity::{Error, Note, Warning};
use crate::store::redis::inspect::{Facts, Fields, Layout};

pub(super) fn judge(facts: &Facts, sync_replicas: u8, findings: &mut Findings) {
    for (at, error) in &facts.silent {
        findings.at = Some(at.clone());
        findings.add(
            Error,
            "silent",
            error.clone(),
            "what does not answer does not serve, and is no help when another fails",
            "start it, or change the setting that is named",
        );
    }
    findings.at = None;
    if facts.layout != Layout::Single && sync_replicas == 0 {
        findings.add(
            Warning,
            "unsynced",
            "store.sync_replicas is 0",
            "a failover may bring back what was revoked just before, and forget who has just signed in",
            "store.sync_replicas = 1",
        );
    }
    match facts.layout {
        Layout::Single => single(facts, findings),
        Layout::Sentinel => sentinels(facts, findings),
        Layout::Cluster => cluster(facts, findings),
    }
    findings.at = None;
}

/// One address, which may lead to any process.
fn single(facts: &Facts, findings: &mut Findings) {
    for replica in facts.processes.iter().filter(|process| !process.is_primary()) {
        findings.at = Some(replica.at.clone());
        findings.add(
            Error,
            "replica_address",
            "store.url leads to a replica",
            "a replica takes no writes, and nothing is served from it",
            "a store.url that leads to the primary and follows it; or promote this one: REPLICAOF NO ONE",
        );
    }
}

fn sentinels(facts: &Facts, findings: &mut Findings) {
    for sentinel in &facts.sentinels {
        findings.at = Some(format!("Sentinel {}", sentinel.at));
        one_sentinel(&sentinel.primary, &sentinel.replicas, findings);
    }
    findings.at = None;
    let named: std::collections::BTreeSet<_> = facts
        .sentinels
        .iter()
        .map(|sentinel| (sentinel.primary.text("ip"), sentinel.primary.text("port")))
        .collect();
    if named.len() > 1 {
        let named: Vec<_> = named
            .into_iter()
            .map(|(host, port)| format!("{}:{}", host.unwrap_or("?"), port.unwrap_or("?")))
            .collect();
        findings.add(
            Error,
            "sentinels_disagree",
            format!("the Sentinels name different primaries: {}", named.join(", ")),
            "a failover is under way, or some Sentinel is cut off; servers believe the one with the latest failover",
            "wait a moment; if it stays so, look at the Sentinels' network and SENTINEL RESET the one that is wrong",
        );
    }
}

fn one_sentinel(primary: &Fields, replicas: &[Fields], findings: &mut Findings) {
    let all = primary.number("num-other-sentinels").unwrap_or_default() + 1;
    let quorum = primary.number("quorum").unwrap_or_default();
    if all < 3 {
        findings.add(
            Error,
            "too_few_sentinels",
            format!("it knows {all} Sentinels, itself among them"),
            "when one of fewer than three is lost with the primary, no majority is left to promote another",
            "run three, on machines of their own",
        );
    } else if quorum * 2 <= all {
        findings.add(
            Warning,
            "quorum",
            format!("the quorum is {quorum} of {all} Sentinels"),
            "a few Sentinels with a bad network begin failovers that nobody needs",
            format!("sentinel monitor … {}", all / 2 + 1),
        );
    }
    if let Some(patience) = primary.number("down-after-milliseconds").filter(|patience| *patience > 30_000) {
        findings.add(
            Warning,
            "slow_failover",
            format!("down-after-milliseconds is {patience}"),
            "nobody can sign in or refresh for so long and longer when the primary dies",
            "sentinel down-after-milliseconds … 5000",
        );
    }
    let usable = replicas.iter().filter(|replica| {
        let flags = replica.text("flags").unwrap_or_default();
        let is_down = flags.split(',').any(|flag| ["s_down", "o_down", "disconnected"].contains(&flag));
        !is_down && !replica.is("slave-priority", "0")
    });
    if usable.count() == 0 {
        findings.add(
            Error,
            "no_successor",
            "it knows no replica that could be promoted",
            "when the primary dies nothing takes its place",
            "start a replica, with replica-priority above 0",
        );
    }
}

fn cluster(facts: &Facts, findings: &mut Findings) {
    for process in &facts.processes {
        findings.at = Some(process.at.clone());
        let slots = |name| process.cluster.number(name).unwrap_or_default();
        if !process.cluster.is("cluster_state", "ok") {
            findings.add(
                Error,
                "cluster_down",
                format!("cluster_state is {}", process.cluster.text("cluster_state").unwrap_or("unknown")),
                "requests are answered 503",
                "redis-cli --cluster check, then --cluster fix",
            );
        } else if slots("cluster_slots_assigned") != 16_384 || slots("cluster_slots_ok") != 16_384 {
            let (assigned, ok) = (slots("cluster_slots_assigned"), slots("cluster_slots_ok"));
            findings.add(
                Error,
                "slots_not_served",
                format!("{ok} of 16384 slots are served, {assigned} are assigned"),
                "users whose slots nobody serves get 503",
                "redis-cli --cluster fix",
            );
        }
        let Some(config) = &process.config else { continue };
        if let Some(patience) = config.number("cluster-node-timeout").filter(|patience| *patience > 15_000) {
            findings.add(
                Warning,
                "slow_failover",
                format!("cluster-node-timeout is {patience}"),
                "users of a primary that dies can neither sign in nor refresh for so long and longer",
                "cluster-node-timeout 5000",
            );
        }
        if process.is_primary() && config.is("cluster-require-full-coverage", "yes") {
            findings.add(
                Note,
                "full_coverage",
                "cluster-require-full-coverage is yes",
                "while one shard is without a primary, all users get 503 and not only those of that shard",
                "cluster-require-full-coverage no",
            );
        }
    }
    for (at, replicas) in &facts.shards {
        if *replicas == 0 {
            findings.at = Some(at.clone());
            findings.add(
                Error,
                "no_successor",
                "it has no replica that could be promoted",
                "when it dies its users can neither sign in nor refresh until it is back",
                "redis-cli --cluster add-node … --cluster-slave",
            );
        }
    }
}
