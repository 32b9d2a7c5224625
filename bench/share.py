#!/usr/bin/env python3
"""How many honest sign-ins get in beside somebody who asks for much, and when many of them come at once. See README.md beside
this file.

Default settings, but for the store and the listeners. Each caller has an address of its own on the loopback. Starts servers of
its own and stops them. Needs nothing but Python's standard library. Linux only.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import secrets
import statistics
import threading
import time

from run import progress
from servers import post, run_script
from turns import add_turn_options, in_turns, start_by_default

HONEST, CROWD = 27, 32
# Those of the flood are answered for as long as the server takes.
TIMEOUT = 60


def main():
    in_turns(parse_arguments(), (play,), ["what", "let in", "refused", "wait, median s", "longest s"])


def parse_arguments():
    parser = argparse.ArgumentParser(description="How many honest sign-ins get in beside a flood, and at once.")
    add_turn_options(parser)
    return parser.parse_args()


def play(stack, directory, program, _options):
    address, password = start_by_default(stack, directory, program, {"registration.enabled": True})
    make_users(address, password)
    yield beside(address, password, "20 sign-ins of one account", lambda _: ("/login", "mallory", "127.0.2.1"))
    yield beside(address, password, "the same from 20 addresses", lambda number: ("/login", "mallory", f"127.0.2.{number}"))
    yield beside(address, password, "20 registrations", lambda _: ("/register", f"eve{secrets.token_hex(8)}", "127.0.2.1"))
    many = [(f"honest{number}", f"127.0.1.{number + 1}") for number in range(CROWD)]
    yield at_once(address, password, f"{CROWD} accounts at once", many)
    # As behind one router.
    yield at_once(address, password, f"{CROWD} accounts from one address", [(name, "127.0.1.1") for name, _ in many])
    yield at_once(address, password, f"{CROWD} of one account at once", [("worker", "127.0.1.1")] * CROWD)


def make_users(address, password):
    with contextlib.closing(http.client.HTTPConnection(address, timeout=TIMEOUT)) as connection:
        signed_in = post(connection, "/login", {"username": "admin", "password": password}, 200)
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        for name in ["mallory", "worker", *(f"honest{number}" for number in range(CROWD))]:
            user = {"username": name, "password": password, "roles": ["user"]}
            post(connection, "/admin/users", user, 201, headers)


def beside(address, password, what, request):
    """27 sign-ins of as many accounts and addresses, one begun each 300 ms, beside 20 that come again as soon as they are
    answered."""
    progress(f"{HONEST} honest sign-ins beside {what}")
    stopped = threading.Event()

    def flood(number):
        while not stopped.is_set():
            ask(address, *request(number), password)

    with concurrent.futures.ThreadPoolExecutor(20 + HONEST) as pool:
        for number in range(20):
            pool.submit(flood, number + 1)
        time.sleep(3)
        honest = []
        for number in range(HONEST):
            honest.append(pool.submit(ask, address, "/login", f"honest{number}", f"127.0.1.{number + 1}", password))
            time.sleep(0.3)
        answers = [one.result() for one in honest]
        stopped.set()
    time.sleep(11)
    return row(f"beside {what}", answers)


def at_once(address, password, what, callers):
    progress(what)
    with concurrent.futures.ThreadPoolExecutor(len(callers)) as pool:
        answers = list(pool.map(lambda caller: ask(address, "/login", *caller, password), callers))
    time.sleep(2)
    return row(what, answers)


def row(what, answers):
    waits = [wait for status, wait in answers if status == 200] or [0]
    refused = [status for status, _ in answers if status != 200]
    kinds = ", ".join(f"{refused.count(status)} × {status}" for status in sorted(set(refused))) or "0"
    return [what, f"{len(answers) - len(refused)} of {len(answers)}", kinds, f"{statistics.median(waits):.2f}", f"{max(waits):.2f}"]


def ask(address, path, name, source, password):
    """A request from an address of the loopback. The status, and the seconds that it took."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT, source_address=(source, 0))
    with contextlib.closing(connection):
        body = json.dumps({"username": name, "password": password})
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
    return response.status, time.monotonic() - begun


if __name__ == "__main__":
    run_script(main)
