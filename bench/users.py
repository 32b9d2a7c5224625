#!/usr/bin/env python3
"""What 100,000 users cost: listing, search and reading, in Redis and in the embedded store. See README.md beside this file.

Builds as for the image, starts a Redis of its own, and stops what it started. Needs `redis-server` and nothing but
Python's standard library. Writes nothing outside a temporary directory and target/.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

from servers import Failed, add_build_options, binary, build, run_script, start_redis


def main():
    parser = argparse.ArgumentParser(description="What many users cost, in Redis and in the embedded store.")
    parser.add_argument("--users", type=int, default=100_000)
    add_build_options(parser)
    options = parser.parse_args()
    build(options, "crowd")
    try:
        with contextlib.ExitStack() as stack:
            directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
            _, redis_url = start_redis(stack, directory, appendonly=False)
            reports = {
                "Redis": crowd(options, f"--redis={redis_url}"),
                "embedded": crowd(options, f"--file={directory / 'store'}"),
            }
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    print(table(reports))


def crowd(options, store):
    command = [binary("crowd", options), store, f"--users={options.users}"]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise Failed("the measurement failed, see above")
    return json.loads(run.stdout)


def table(reports):
    """A row for each step, in Markdown: median / 99th of a hundred / longest, in ms."""
    columns = [(store, size) for store in reports for size in ("few", "many")]
    titles = [f"{store}, {reports[store][size]:,}" for store, size in columns]
    lines = ["| ms: median / p99 / longest | " + " | ".join(titles) + " |", "| --- |" + " ---: |" * len(columns)]
    steps = [step["step"] for step in next(iter(reports.values()))["steps"]]
    for number, name in enumerate(steps):
        cells = [times(reports[store]["steps"][number][size]) for store, size in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    made = [f"{store} {report['users_made_per_second']:,} users made a second" for store, report in reports.items()]
    return "\n".join([*lines, "", "; ".join(made)])


def times(step):
    return " / ".join(f"{step[which] / 1000:.2f}" for which in ("p50", "p99", "max"))


if __name__ == "__main__":
    run_script(main)
