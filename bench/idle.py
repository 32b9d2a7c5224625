#!/usr/bin/env python3
"""What sign-ins and refreshes notice of many idle connections and of many slow ones. See README.md beside this file."""

import argparse
import asyncio
import contextlib
import http.client
import pathlib
import resource
import secrets
import statistics
import tempfile
import time

from run import positive, positive_seconds, progress
from servers import Failed, add_build_options, build, create_users, post, run_load, run_script, start_redis, start_relatch

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW_REQUEST = b"POST /login HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 1000


def main():
    options = parse_arguments()
    build(options, "relatch", "load")
    # Inherited by the server, which needs as many.
    wanted = options.idle + options.slow + 4096
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"bench: {wanted} open files are needed, and no more than {hard} allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        _, redis_url = start_redis(stack, directory, False)
        password = secrets.token_urlsafe(18)
        # They all come from one address here, as thousands of clients do not.
        options.set += ["rate_limit.enabled=true", "rate_limit.address_requests=1000000"]
        options.set += ["http.max_connections_per_address=1000000", "password.bcrypt_cost=10"]
        server, address = start_relatch(stack, directory, redis_url, options.algorithm, password, options)
        create_users(address, password, options)
        print(f"{'':34}{'sign-in ms':>24}{'refresh ms':>24}{'server MiB':>12}")
        print(f"{'':34}{'p50':>12}{'p99':>12}{'p50':>12}{'p99':>12}")
        usual = [look("alone", server, address, password, directory, options)]
        crowd = asyncio.run(beside_a_crowd(server, address, password, directory, options))
        usual.append(look("alone again", server, address, password, directory, options))
        cells = [there / statistics.mean(here) for here, there in zip(zip(*usual), crowd)]
        print(f"{'ratio':34}" + "".join(f"{cell:>12.2f}" for cell in cells))


def parse_arguments():
    parser = argparse.ArgumentParser(description="What sign-ins and refreshes notice of idle and slow connections.")
    parser.add_argument("--idle", type=positive, default=10_000)
    parser.add_argument("--slow", type=positive, default=1000, help="connections that send a byte a second")
    parser.add_argument("--algorithm", default="ES256")
    parser.add_argument("--rate", type=positive, default=200, help="refreshes a second")
    parser.add_argument("--sign-ins", type=positive, default=60)
    parser.add_argument("--seconds", type=positive_seconds, default=10.0, help="of refreshes")
    parser.add_argument("--connections", type=positive, default=8)
    parser.add_argument("--sessions", type=positive, default=100)
    parser.add_argument("--sessions-per-user", type=positive, default=5)
    add_build_options(parser)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one more setting of the server")
    return parser.parse_args()


async def beside_a_crowd(server, address, password, directory, options):
    host, port = address.rsplit(":", 1)
    counted = {"idle": 0, "slow": 0, "closed": 0}
    idle = [await idle_connection(host, int(port), counted) for _ in range(options.idle)]
    slow = [asyncio.create_task(slow_client(host, int(port), counted)) for _ in range(options.slow)]
    while counted["slow"] < options.slow:
        await asyncio.sleep(0.05)
    label = f"{counted['idle']} idle, {options.slow} slow"
    figures = await asyncio.to_thread(look, label, server, address, password, directory, options)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    alive = sum(not reader.at_eof() for reader, _ in idle)
    for _, writer in idle:
        writer.close()
    progress(f"{alive} of the idle connections were still open in the end; slow ones were closed {counted['closed']} times")
    return figures


async def idle_connection(host, port, counted):
    """A connection as a browser leaves it: it has had an answer, and nothing more is asked."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Failed(f"an idle connection got {head[:60]}")
    counted["idle"] += 1
    return reader, writer


async def slow_client(host, port, counted):
    """Sends a byte a second, and comes again whenever the server has had enough of it."""
    first = True
    while True:
        _, writer = await asyncio.open_connection(host, port)
        if first:
            counted["slow"] += 1
        first = False
        try:
            for byte in SLOW_REQUEST:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
        except OSError:
            counted["closed"] += 1
        finally:
            writer.close()


def look(label, server, address, password, directory, options):
    """Sign-ins one after the other, then refreshes at a steady rate."""
    connection = http.client.HTTPConnection(address, timeout=30)
    times = []
    with contextlib.closing(connection):
        for number in range(options.sign_ins):
            user = number % (options.sessions // options.sessions_per_user)
            begun = time.monotonic()
            post(connection, "/login", {"username": f"bench{user}", "password": password}, 200)
            times.append((time.monotonic() - begun) * 1000)
    report = run_load(address, password, directory, options, "--warmup=500ms", f"--rate={options.rate}")
    latency = report["latency_us"]
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    p99 = statistics.quantiles(times, n=100)[98]
    figures = (statistics.median(times), p99, latency["p50"] / 1000, latency["p99"] / 1000, memory)
    print(f"{label:34}" + "".join(f"{figure:>12.2f}" for figure in figures), flush=True)
    return figures


if __name__ == "__main__":
    run_script(main)
