#!/usr/bin/env python3
"""Whether time tells which accounts exist: at sign-in and at registration. See README.md beside this file.

Builds as for the image, starts a Redis and a server of its own, and stops what it started. Needs `redis-server` and nothing
but Python's standard library. Writes nothing outside a temporary directory and target/.
"""

import argparse
import contextlib
import http.client
import json
import math
import pathlib
import random
import secrets
import socket
import statistics
import sys
import tempfile
import time

from servers import Failed, add_build_options, build, run_script, start_redis, start_relatch

PASSWORD = "a long walk on the pier"
ACCOUNTS = 100
# passlib's, of "correct horse": at next to no cost, so that all the work is what is added.
ARGON2 = "$argon2id$v=19$m=64,t=2,p=2$3puzdm7tPQeAkNL6v1cKQQ$nHkhzVS8ymKSjzEx5BfBOpix83INNb3XvGrS28jjIYQ"


def main():
    options = parse_arguments()
    build(options, "relatch")
    options.set = [f"password.bcrypt_cost={options.cost}", "registration.enabled=true"]
    try:
        with contextlib.ExitStack() as stack:
            directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
            _, redis_url = start_redis(stack, directory, appendonly=False)
            password = secrets.token_urlsafe(18)
            _, address = start_relatch(stack, directory, redis_url, "EdDSA", password, options)
            print(table(measure(Client(address), redis_url, password, options)))
    except Failed as failure:
        sys.exit(f"bench: {failure}")


def parse_arguments():
    parser = argparse.ArgumentParser(description="Whether time tells which accounts exist.")
    parser.add_argument("--samples", type=int, default=1000, help="of each kind, in turns")
    parser.add_argument("--cost", type=int, default=8, help="bcrypt's; the lower, the less hides a difference")
    add_build_options(parser)
    return parser.parse_args()


class Client:
    """One connection, one request at a time."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=30)

    def send(self, method, path, body, expected, token=None):
        """The answer, and after how many seconds it was there."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        text = json.dumps(body)
        begun = time.perf_counter()
        self.connection.request(method, path, text, headers)
        response = self.connection.getresponse()
        answer = response.read()
        took = time.perf_counter() - begun
        if response.status != expected:
            raise Failed(f"{method} {path} gives {response.status} and not {expected}: {answer.decode()}")
        return json.loads(answer), took


def store_hash(redis_url, user, text):
    """Puts a hash in the place of a user's own, as an import would."""
    words = ["HSET", f"relatch:{{{user}}}:u", "password", text]
    port = int(redis_url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        command = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        connection.sendall(f"*{len(words)}\r\n{command}".encode())
        if connection.recv(16) != b":0\r\n":
            raise Failed("there was no hash to replace")


def measure(client, redis_url, admin_password, options):
    """The seconds of each sample, by question and kind."""
    admin, _ = client.send("POST", "/login", {"username": "admin", "password": admin_password}, 200)
    for number in range(ACCOUNTS):
        for kind in ("known", "barred", "argon"):
            body = {"username": f"{kind}-{number:06}", "password": PASSWORD, "disabled": kind == "barred"}
            user, _ = client.send("POST", "/admin/users", body, 201, admin["access_token"])
            if kind == "argon":
                store_hash(redis_url, user["id"], ARGON2)

    def sign_in(kind):
        number = random.randrange(ACCOUNTS) if kind != "nobody" else random.randrange(1_000_000)
        return client.send("POST", "/login", {"username": f"{kind}-{number:06}", "password": "not the right one"}, 401)[1]

    unused = iter(range(1_000_000))

    def register(kind):
        number = random.randrange(ACCOUNTS) if kind == "known" else next(unused)
        body = {"username": f"{kind}-{number:06}", "password": PASSWORD}
        return client.send("POST", "/register", body, 409 if kind == "known" else 201)[1]

    questions = {
        "sign-in": (
            sign_in,
            {
                "nobody": "unknown name",
                "known": "wrong password",
                "barred": "disabled account",
                "argon": "wrong password, Argon2",
            },
        ),
        "registration": (register, {"fresh": "free name", "known": "taken name"}),
    }
    found = {}
    for question, (ask, kinds) in questions.items():
        samples = {kind: [] for kind in kinds}
        for number in range(options.samples + 20):
            order = list(kinds)
            random.shuffle(order)
            for kind in order:
                took = ask(kind)
                # The first ones find cold caches.
                if number >= 20:
                    samples[kind].append(took)
        found[question] = {kinds[kind]: times for kind, times in samples.items()}
    return found


def table(found):
    """A row for each kind of account: its median beside that of the first kind, in Markdown."""
    lines = ["| | samples | median, ms | difference | p |", "| --- | ---: | ---: | ---: | ---: |"]
    for question, kinds in found.items():
        (first, base), *others = kinds.items()
        middle = statistics.median(base)
        lines.append(f"| {question}, {first} | {len(base):,} | {middle * 1000:.3f} | | |")
        for name, times in others:
            median = statistics.median(times)
            row = f"| {question}, {name} | {len(times):,} | {median * 1000:.3f}"
            lines.append(f"{row} | {(median / middle - 1) * 100:+.2f} % | {p_value(base, times):.3f} |")
    return "\n".join(lines)


def p_value(one, other):
    """How probable such a difference in rank is, two-sided, if there is none (Mann-Whitney U, normal approximation)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, start=1) if group == 0)
    size, others = len(one), len(other)
    expected = size * (size + others + 1) / 2
    deviation = math.sqrt(size * others * (size + others + 1) / 12)
    return math.erfc(abs(ranks - expected) / deviation / math.sqrt(2))


if __name__ == "__main__":
    run_script(main)
