#!/usr/bin/env python3
"""Relatch against its floor: what one refresh costs, in one table. See README.md beside this file.

Builds as for the image, starts a Redis and a server of its own for each round, and stops what it started. Needs
`redis-server` and nothing but Python's standard library. Writes nothing outside a temporary directory and target/.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import statistics
import sys
import tempfile

from servers import (
    Failed,
    add_build_options,
    build,
    create_users,
    run_load,
    run_script,
    start_floor,
    start_redis,
    start_relatch,
)
from table import Figures, table

SCENARIOS = ("refresh", "check", "sign-in", "revoke", "mixed")
ALGORITHMS = ("EdDSA", "ES256", "HS256")
CONTENDERS = ("floor", "relatch")
# All limits are on, as they are by default; but that of one address would stop the load generator, which has but one.
ALWAYS = ("rate_limit.enabled=true", "rate_limit.address_requests=1000000")


def main():
    options = parse_arguments()
    contenders = (options.only,) if options.only else CONTENDERS
    build(options, "load", *contenders)
    try:
        results = {}
        for algorithm in options.algorithms:
            found = results[algorithm] = measure(algorithm, contenders, options)
            if options.half_load:
                halves = {name: round(statistics.median(one.rate for one in rounds) / 2) for name, rounds in found.items()}
                least = min(halves.values())
                same = dict.fromkeys(contenders, least)
                results[f"{algorithm} {least}/s"] = measure(algorithm, contenders, options, same)
                results[f"{algorithm} own half"] = measure(algorithm, contenders, options, halves)
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    if options.json:
        as_dicts = {
            algorithm: {name: [dataclasses.asdict(figures) for figures in rounds] for name, rounds in found.items()}
            for algorithm, found in results.items()
        }
        print(json.dumps({"settings": settings(options), "rounds": as_dicts}))
    else:
        print(table(results, options))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Relatch against its floor: what one refresh costs.")
    parser.add_argument("--algorithms", default=ALGORITHMS, type=lambda text: text.split(","), metavar="A,B")
    parser.add_argument("--only", choices=CONTENDERS, help="measure one of the two servers")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--seconds", type=positive_seconds, default=5.0, help="measured time of each round")
    parser.add_argument("--warmup", type=positive_seconds, default=1.0, help="unmeasured seconds before it")
    parser.add_argument("--connections", type=positive, default=32)
    parser.add_argument("--sessions", type=positive, default=1000)
    parser.add_argument("--sessions-per-user", type=positive, default=5)
    parser.add_argument(
        "--half-load",
        action="store_true",
        help="measure also at a steady rate: half of what the slower of the two reached, then each at half of its own",
    )
    parser.add_argument(
        "--scenario",
        choices=SCENARIOS,
        default="refresh",
        help="what the clients do; all but refresh are measured without the floor, which cannot do them",
    )
    parser.add_argument("--attempt-keys", action="store_true", help="send an Idempotency-Key with each refresh")
    parser.add_argument("--appendonly", action="store_true", help="Redis with appendonly yes, fsync each second")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one more setting of the relatch server, such as log.level=warn; may be given several times",
    )
    add_build_options(parser)
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON instead of the table")
    options = parser.parse_args()
    unknown = [name for name in options.algorithms if name not in ALGORITHMS]
    if unknown:
        parser.error(f"unknown algorithm {unknown[0]}: choose from {', '.join(ALGORITHMS)}")
    if options.sessions < options.connections:
        parser.error("every connection needs a session of its own: --sessions is less than --connections")
    if options.scenario != "refresh":
        options.only = "relatch"
    if any("=" not in setting for setting in options.set):
        parser.error("--set takes KEY=VALUE")
    options.set = [*ALWAYS, *options.set]
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def positive_seconds(text):
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be between 0.1 and 3600 seconds")
    return seconds


def settings(options):
    return {
        "cores": os.cpu_count(),
        "connections": options.connections,
        "sessions": options.sessions,
        "sessions_per_user": options.sessions_per_user,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "scenario": options.scenario,
        "attempt_keys": options.attempt_keys,
        "redis_appendonly": options.appendonly,
        "profile": options.profile,
        "relatch_settings": options.set,
    }


def measure(algorithm, contenders, options, rates=None):
    """All rounds of one algorithm. The contenders take turns and swap their order, so that drift hits both alike."""
    found = {name: [] for name in contenders}
    for number in range(options.rounds):
        order = contenders if number % 2 == 0 else contenders[::-1]
        for name in order:
            rate = rates[name] if rates else None
            load = f" at {rate}/s" if rate else ""
            progress(f"{algorithm}{load}, round {number + 1} of {options.rounds}: {name}")
            found[name].append(run_round(name, algorithm, options, rate))
    return found


def run_round(name, algorithm, options, rate=None):
    """One contender with a fresh Redis: nothing is left over from the round before."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        redis, redis_url = start_redis(stack, directory, options.appendonly)
        password = secrets.token_urlsafe(18)
        if name == "floor":
            server, address = start_floor(stack, directory, redis_url, algorithm, options)
        else:
            server, address = start_relatch(stack, directory, redis_url, algorithm, password, options)
            create_users(address, password, options)
        arguments = [f"--warmup={round(options.warmup * 1000)}ms", f"--pid={server.pid}", f"--pid={redis.pid}"]
        if rate:
            arguments.append(f"--rate={rate}")
        if options.scenario != "refresh":
            arguments.append(f"--scenario={options.scenario}")
        if options.scenario == "revoke":
            # Each session is signed out once.
            arguments.append(f"--rate={options.sessions / (options.warmup + options.seconds) * 0.95}")
        if options.attempt_keys:
            arguments.append("--attempt-keys")
        return Figures.of(run_load(address, password, directory, options, *arguments))


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_script(main)
