#!/usr/bin/env python3
"""Several nodes on a Cluster of six beside one node on one Redis: throughput and processor time, in one run.

Every process shares the machine, so more of them make nothing faster here: what shows is what the same refresh costs. Needs
`redis-server` and `redis-cli`. Writes nothing outside a temporary directory and target/.
"""

import argparse
import contextlib
import copy
import json
import os
import pathlib
import secrets
import statistics
import subprocess
import sys
import tempfile

from run import positive, positive_seconds, progress
from servers import (
    Failed,
    add_build_options,
    base64_key,
    binary,
    build,
    clean_environment,
    create_users,
    free_port,
    run_script,
    start,
    start_redis,
    start_relatch,
    tail,
    wait_until,
)

ARRANGEMENTS = {"1 node, 1 Redis": (1, False), "3 nodes, 1 Redis": (3, False), "3 nodes, Cluster of 6": (3, True)}


def main():
    options = parse_arguments()
    build(options, "relatch", "load")
    found = {name: [] for name in ARRANGEMENTS}
    try:
        for number in range(options.rounds):
            names = list(ARRANGEMENTS) if number % 2 == 0 else list(reversed(ARRANGEMENTS))
            for name in names:
                progress(f"round {number + 1} of {options.rounds}: {name}")
                found[name].append(run_round(*ARRANGEMENTS[name], options))
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    print(json.dumps(found) if options.json else table(found, options))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Three nodes on a Cluster of six beside one node on one Redis.")
    parser.add_argument("--algorithm", choices=("EdDSA", "ES256", "HS256"), default="ES256")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--seconds", type=positive_seconds, default=5.0, help="measured time of each round")
    parser.add_argument("--warmup", type=positive_seconds, default=1.0, help="unmeasured seconds before it")
    parser.add_argument("--connections", type=positive, default=33)
    parser.add_argument("--sessions", type=positive, default=999)
    parser.add_argument("--appendonly", action="store_true", help="every Redis with appendonly yes, fsync each second")
    add_build_options(parser)
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON instead of the table")
    options = parser.parse_args()
    options.sessions_per_user = 5
    return options


def run_round(nodes, is_cluster, options):
    """One arrangement, with fresh processes."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        if is_cluster:
            primaries, replicas, url = start_cluster(stack, directory, options.appendonly)
        else:
            redis, url = start_redis(stack, directory, options.appendonly)
            primaries, replicas = [redis], []
        password = secrets.token_urlsafe(18)
        servers = start_nodes(stack, directory, url, nodes, password, options)
        create_users(servers[0][1], password, options)
        watched = [process for process, _ in servers] + primaries + replicas
        reports = run_loads([address for _, address in servers], watched, password, options)
        rate = sum(report["refreshes_per_second"] for report in reports)
        # The load on the first node watches all processes: seconds of processor time for each second, by all refreshes.
        spent = [cpu["seconds"] / reports[0]["seconds"] / rate * 1e6 for cpu in reports[0]["cpu"]]
        return {
            "rate": rate,
            "server": sum(spent[:nodes]),
            "primaries": sum(spent[nodes : nodes + len(primaries)]),
            "replicas": sum(spent[nodes + len(primaries) :]),
            "p50": statistics.median(report["latency_us"]["p50"] for report in reports),
            "p99": max(report["latency_us"]["p99"] for report in reports),
        }


def start_nodes(stack, directory, url, count, password, options):
    options = copy.copy(options)
    options.set = [f"master_key={base64_key()}", "issuer=http://localhost:8080"]
    servers = []
    for number in range(count):
        own = directory / f"node{number}"
        own.mkdir()
        servers.append(start_relatch(stack, own, url, options.algorithm, password, options))
    return servers


def start_cluster(stack, directory, appendonly):
    """Three primaries with a replica each. Gives the processes, and the URL."""
    processes, addresses = [], []
    for number in range(6):
        own, port = directory / f"redis{number}", free_port()
        own.mkdir()
        arguments = ["--port", port, "--cluster-port", free_port(), "--bind", "127.0.0.1", "--save", "", "--dir", own]
        arguments += ["--cluster-enabled", "yes", "--appendonly", "yes" if appendonly else "no"]
        arguments += ["--repl-diskless-sync-delay", "0"]
        processes.append(start(stack, ["redis-server", *map(str, arguments)], own, "redis.log"))
        addresses.append(f"127.0.0.1:{port}")
    if not wait_until(lambda: all(cli(address, "PING") == "PONG" for address in addresses), processes[0]):
        raise Failed(f"redis-server does not start\n{tail(directory / 'redis0' / 'redis.log')}")
    create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
    if subprocess.run(create, capture_output=True, check=False).returncode != 0:
        raise Failed("the Cluster cannot be formed")
    is_whole = lambda address: (
        "cluster_state:ok" in cli(address, "CLUSTER", "INFO")
        and any(sign in cli(address, "INFO", "replication") for sign in ("state=online", "master_link_status:up"))
    )
    if not wait_until(lambda: all(map(is_whole, addresses)), processes[0], pause=0.1):
        missing = [address for address in addresses if not is_whole(address)]
        states = [f"{at}\n{cli(at, 'CLUSTER', 'NODES')}\n{cli(at, 'INFO', 'replication')}" for at in missing]
        raise Failed("\n".join(["the Cluster does not get whole", *states]))
    is_primary = ["role:master" in cli(address, "INFO", "replication") for address in addresses]
    primaries = [process for process, primary in zip(processes, is_primary) if primary]
    replicas = [process for process, primary in zip(processes, is_primary) if not primary]
    return primaries, replicas, f"redis+cluster://{','.join(addresses)}"


def cli(address, *words):
    host, _, port = address.rpartition(":")
    run = subprocess.run(["redis-cli", "-h", host, "-p", port, *words], capture_output=True, text=True, check=False)
    return run.stdout.strip()


def run_loads(addresses, watched, password, options):
    """A load generator for each node, all at the same time."""
    environment = clean_environment() | {"RELATCH_BENCH_PASSWORD": password}
    loads = []
    for number, address in enumerate(addresses):
        command = [
            binary("load", options),
            f"--url=http://{address}",
            f"--sessions={options.sessions // len(addresses)}",
            f"--sessions-per-user={options.sessions_per_user}",
            f"--connections={options.connections // len(addresses)}",
            f"--duration={round(options.seconds * 1000)}ms",
            f"--warmup={round(options.warmup * 1000)}ms",
            "--json",
        ]
        command += [f"--pid={process.pid}" for process in watched if number == 0]
        loads.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    answers = [load.communicate()[0] for load in loads]
    if any(load.returncode != 0 for load in loads):
        raise Failed("a load failed, see above")
    return [json.loads(answer) for answer in answers]


def table(found, options):
    """One row for each arrangement: medians of the rounds, and in brackets the median ratio to the first row's."""
    lines = [
        f"{os.cpu_count()} cores for everything; {options.algorithm}, {options.connections} connections,"
        f" {options.sessions} sessions; {'AOF everysec' if options.appendonly else 'no persistence'};"
        f" {options.rounds} rounds of {options.seconds:g} s",
        "",
        "| | refreshes/s | server µs | primaries µs | replicas µs | p50 ms | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = found[next(iter(ARRANGEMENTS))]
    for name, rounds in found.items():
        cells = []
        for field, unit in (("rate", 1), ("server", 1), ("primaries", 1), ("replicas", 1), ("p50", 1000), ("p99", 1000)):
            value = statistics.median(figures[field] for figures in rounds) / unit
            ratios = [ours[field] / theirs[field] for ours, theirs in zip(rounds, first) if theirs[field]]
            ratio = f" ({statistics.median(ratios):.2f})" if ratios and rounds is not first else ""
            cells.append((f"{value:,.0f}" if field == "rate" else f"{value:.1f}" if unit == 1 else f"{value:.2f}") + ratio)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
