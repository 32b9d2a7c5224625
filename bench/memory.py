#!/usr/bin/env python3
"""What memory a server takes: at rest, and while it answers a million refreshes. See README.md beside this file."""

import argparse
import contextlib
import pathlib
import secrets
import tempfile
import time

from run import positive, positive_seconds, progress
from servers import add_build_options, build, create_users, run_load, run_script, start_redis, start_relatch

MIB = 1024


def main():
    options = parse_arguments()
    build(options, "relatch", "load")
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        _, redis_url = start_redis(stack, directory, False)
        password = secrets.token_urlsafe(18)
        store = f"redb:{directory / 'relatch.redb'}" if options.embedded else redis_url
        # Without limits: all requests come from one address, which may ask for a million at most and then a thousand a second.
        options.set.append(f"store.url={store}")
        begun = time.monotonic()
        server, address = start_relatch(stack, directory, redis_url, options.algorithm, password, options)
        print(f"{'refreshes':>12}{'resident MiB':>15}{'highest MiB':>15}")
        show(0, server)
        progress(f"ready {time.monotonic() - begun:.3f} s after the start, the keys and one bcrypt hash made")
        create_users(address, password, options)
        refreshes = 0
        while refreshes < options.refreshes:
            refreshes += run_load(address, password, directory, options, "--warmup=100ms")["refreshes"]
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
    add_build_options(parser)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one more setting of the server")
    return parser.parse_args()


def show(refreshes, server):
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith("Vm")}
    print(f"{refreshes:>12}{kib['VmRSS'] / MIB:>15.1f}{kib['VmHWM'] / MIB:>15.1f}", flush=True)


if __name__ == "__main__":
    run_script(main)
