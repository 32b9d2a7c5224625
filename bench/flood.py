#!/usr/bin/env python3
"""What devices that refresh notice of a crowd that signs in, and what the crowd is told. See README.md beside this file.

Builds as for the image, starts a Redis and a server of its own, and stops what it started. Needs `redis-server` and nothing
but Python's standard library. Writes nothing outside a temporary directory and target/.
"""

import argparse
import contextlib
import json
import os
import pathlib
import secrets
import statistics
import subprocess
import sys
import tempfile

from servers import (
    Failed,
    add_build_options,
    binary,
    build,
    clean_environment,
    create_users,
    run_script,
    start_redis,
    start_relatch,
    tail,
)

USERS = 40


def main():
    options = parse_arguments()
    build(options, "relatch", "flood")
    options.set = [f"password.bcrypt_cost={options.cost}"]
    options.sessions, options.sessions_per_user = USERS, 1
    try:
        report = measure(options)
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    print(json.dumps(report) if options.json else table(report, options))


def parse_arguments():
    parser = argparse.ArgumentParser(description="What devices that refresh notice of a crowd that signs in.")
    parser.add_argument("--crowd", type=int, default=200, help="how many sign in at once")
    parser.add_argument("--impatient", action="store_true", help="the crowd does not wait as Retry-After says")
    parser.add_argument("--cost", type=int, default=12, help="bcrypt's")
    parser.add_argument("--share", type=float, default=4, help="refresh at this part of what the server can do: one in so many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="measured time of each half of a round")
    add_build_options(parser)
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON instead of the table")
    return parser.parse_args()


def measure(options):
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        _, redis_url = start_redis(stack, directory, appendonly=False)
        password = secrets.token_urlsafe(18)
        server, address = start_relatch(stack, directory, redis_url, "EdDSA", password, options)
        create_users(address, password, options)
        command = [
            binary("flood", options),
            f"--url=http://{address}",
            f"--pid={server.pid}",
            f"--users={USERS}",
            f"--crowd={options.crowd}",
            f"--share={options.share}",
            f"--rounds={options.rounds}",
            f"--duration={round(options.seconds * 1000)}ms",
        ]
        if options.impatient:
            command.append("--impatient")
        environment = clean_environment() | {"RELATCH_BENCH_PASSWORD": password}
        run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
        if run.returncode != 0:
            raise Failed(f"the measurement failed, see above\n{tail(directory / 'server.log')}")
        return json.loads(run.stdout)


def table(report, options):
    """A row for each round, in Markdown, and what follows from all of them."""
    lines = [
        f"{os.cpu_count()} cores, bcrypt cost {options.cost}, {options.crowd} sign in at once; {report['rate']:,.0f} refreshes/s "
        f"of {report['capacity']:,.0f} that the server can do",
        "",
        "| round | refresh p50, p99 ms: calm | flooded | p99 ratio | /health/live p99 ms: calm | flooded "
        "| signed in | refused | slowest refusal ms | memory MiB |",
        "| ---: " * 10 + "|",
    ]
    ratios = []
    for number, one in enumerate(report["rounds"], start=1):
        calm, flooded, sign_ins = one["calm"], one["flooded"], one["sign_ins"]
        ratios.append(flooded["refresh_us"]["p99"] / calm["refresh_us"]["p99"])
        refused = sum(count for status, count in sign_ins["statuses"].items() if status != "200")
        cells = [
            str(number),
            f"{ms(calm['refresh_us']['p50'])}, {ms(calm['refresh_us']['p99'])}",
            f"{ms(flooded['refresh_us']['p50'])}, {ms(flooded['refresh_us']['p99'])}",
            f"{ratios[-1]:.2f}",
            ms(calm["live_us"]["p99"]),
            ms(flooded["live_us"]["p99"]),
            str(sign_ins["statuses"].get("200", 0)),
            f"{refused:,}",
            ms(sign_ins["refused_us"]["max"]),
            f"{one['memory_kib'] / 1024:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(
        f"median p99 ratio {statistics.median(ratios):.2f}; memory {report['memory_before_kib'] / 1024:.0f} MiB before, "
        f"{report['memory_peak_kib'] / 1024:.0f} MiB at most"
    )
    return "\n".join(lines)


def ms(micros):
    return f"{micros / 1000:.2f}"


if __name__ == "__main__":
    run_script(main)
