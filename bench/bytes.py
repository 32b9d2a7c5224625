#!/usr/bin/env python3
"""What a session takes up in Redis, by what is stored: the hot record that a refresh reads, the details beside it, lines of
history; and what a user takes up. See README.md beside this file.

Builds as for the image, starts Redis servers of its own with their default settings, and stops what it started. Needs
`redis-server` and nothing but Python's standard library. Writes nothing outside a temporary directory and target/.
"""

import argparse
import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import urllib.parse

from servers import Failed, add_build_options, binary, build, run_script, start_redis

FORGET = "local keys = redis.call('SCAN', ARGV[1], 'MATCH', '*:[hm]', 'COUNT', 5000) \
for _, key in ipairs(keys[2]) do redis.call('DEL', key) end return keys[1]"


def main():
    parser = argparse.ArgumentParser(description="What a session takes up in Redis.")
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 5], help="how many each user has")
    add_build_options(parser)
    options = parser.parse_args()
    build(options, "bytes")
    try:
        columns = {sessions: measure(options, sessions) for sessions in options.sessions}
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    print(table(options, columns))


def measure(options, sessions):
    """Bytes for each session, but of a user for each user."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        _, url = start_redis(stack, directory, appendonly=False)
        redis = stack.enter_context(Redis(url))
        used = [redis.memory()]
        for stage in ("users", "sessions", "histories"):
            fill = [binary("bytes", options), "--redis", url, "--users", str(options.users)]
            fill += ["--sessions", str(sessions), "--stage", stage]
            if subprocess.run(fill, check=False).returncode != 0:
                raise Failed("the store was not filled, see above")
            used.append(redis.memory())
        empty, users, with_sessions, with_histories = used
        redis.forget_details()
        records = redis.memory()
        count = options.users * sessions
        if redis.ask("DBSIZE") < 2 * options.users:
            raise Failed("there are fewer keys than users and sessions")
        return {
            "hot record": (records - users) / count,
            "details: device name, agent, address (81 characters)": (with_sessions - records) / count,
            "eight lines of history (127 characters each)": (with_histories - with_sessions) / count,
            "*user: name, roles, password hash, place in lists*": (users - empty) / options.users,
        }


class Redis:
    """A connection that reads what this script asks for."""

    def __init__(self, url):
        address = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self.answers = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, *words):
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        self.socket.sendall((f"*{len(parts)}\r\n" + "".join(parts)).encode())
        line = self.answers.readline().decode().rstrip()
        if line.startswith(":"):
            return int(line[1:])
        if line.startswith("$"):
            return self.answers.read(int(line[1:]) + 2)[:-2].decode()
        raise Failed(f"Redis says {line}")

    def memory(self):
        """Bytes that Redis has allocated, its tables included."""
        lines = dict(line.split(":", 1) for line in self.ask("INFO", "memory").splitlines() if ":" in line)
        return int(lines["used_memory"])

    def forget_details(self):
        cursor = "0"
        while (cursor := self.ask("EVAL", FORGET, "0", cursor)) != "0":
            pass


def table(options, columns):
    heads = [f"{sessions} session{'s' if sessions > 1 else ''} a user" for sessions in columns]
    lines = [f"| bytes each, {options.users:,} users | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for what in next(iter(columns.values())):
        lines.append(f"| {what} | " + " | ".join(f"{column[what]:.0f}" for column in columns.values()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
