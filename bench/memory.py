#!/usr/bin/env python3
"""What memory a server takes: at rest, and while it answers a million refreshes. See README.md beside this file."""

import argparse
import contextlib
import json
import pathlib
import secrets
import subprocess
import tempfile
import time

from run import build, positive, positive_seconds, progress
from servers import Failed, binary, clean_environment, create_users, run_script, start_redis, start_relatch, tail

MIB = 1024


def main():
    options = parse_arguments()
    if not options.no_build:
        build(("relatch",), options.profile)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        _, redis_url = start_redis(stack, directory, False)
        password = secrets.token_urlsafe(18)
        store = f"redb:{directory / 'relatch.redb'}" if options.embedded else redis_url
        options.set.append("rate_limit.enabled=true")
        options.set.append("rate_limit.address_requests=1000000")
        options.set.append("rate_limit.address_request_interval=1ms")
        options.set.append(f"store.url={store}")
        begun = time.monotonic()
        server, address = start_relatch(stack, directory, redis_url, options.algorithm, password, options)
        print(f"{'refreshes':>12}{'resident MiB':>15}{'highest MiB':>15}")
        show(0, server)
        progress(f"ready {time.monotonic() - begun:.3f} s after the start, the keys and one bcrypt hash made")
        create_users(address, password, options)
        refreshes = 0
        while refreshes < options.refreshes:
            refreshes += load(server, address, password, directory, options)
            show(refreshes, server)


def parse_arguments():
    parser = argparse.ArgumentParser(description="What memory a server takes.")
    parser.add_argument("--refreshes", type=positive, default=1_000_000, help="when to end")
    parser.add_argument("--algorithm", default="ES256")
    parser.add_argument("--embedded", action="store_true", help="on the embedded store instead of Redis")
    parser.add_argument("--seconds", type=positive_seconds, default=15.0, help="between two looks")
    parser.add_argument("--connections", type=positive, default=128)
    parser.add_argument("--sessions", type=positive, default=5000)
    parser.add_argument("--sessions-per-user", type=positive, default=5)
    parser.add_argument("--profile", choices=("release", "dev"), default="release", help="dev is for trying this script")
    parser.add_argument("--no-build", action="store_true", help="use the binaries that are there")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one more setting of the server")
    return parser.parse_args()


def load(server, address, password, directory, options):
    """Signs everybody in and refreshes for a while. Gives how many refreshes were answered."""
    command = [
        binary("load", options),
        f"--url=http://{address}",
        f"--sessions={options.sessions}",
        f"--sessions-per-user={options.sessions_per_user}",
        f"--connections={options.connections}",
        f"--duration={round(options.seconds * 1000)}ms",
        "--warmup=100ms",
        f"--pid={server.pid}",
        "--json",
    ]
    environment = clean_environment() | {"RELATCH_BENCH_PASSWORD": password}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise Failed(f"the load failed, see above\n{tail(directory / 'server.log')}")
    return json.loads(run.stdout)["refreshes"]


def show(refreshes, server):
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith("Vm")}
    print(f"{refreshes:>12}{kib['VmRSS'] / MIB:>15.1f}{kib['VmHWM'] / MIB:>15.1f}", flush=True)


if __name__ == "__main__":
    run_script(main)
