#!/usr/bin/env python3
"""What others notice of one caller who asks for much: of silent connections to the TLS listener, and of an account that refreshes
with another User-Agent each time. See README.md beside this file.

Default settings, but for the store, the listeners and cheap hashes. Each caller has an address of its own on the loopback.
Needs `redis-server`, `openssl` and nothing but Python's standard library. Linux only.
"""

import argparse
import contextlib
import http.client
import json
import resource
import socket
import ssl
import statistics
import subprocess
import threading
import time

from run import positive, progress
from servers import Failed, post, run_script, start_redis
from turns import add_turn_options, in_turns, start_by_default

SILENT = (600, 2500)
# One account: as many sessions as it may have, and more lines than are kept of each.
SESSIONS, LINES, OTHERS = 50, 33, 8
# Each of three addresses asks as often as it may for long: a refresh and a list, 50 times a second.
PAIRS_A_SECOND = 50


def main():
    options = parse_arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    in_turns(options, (silent_connections, changing_agents), ["what", "p50 ms", "longest ms", "failed"])


def parse_arguments():
    parser = argparse.ArgumentParser(description="What others notice of one caller who asks for much.")
    parser.add_argument("--seconds", type=positive, default=10, help="of refreshes, alone and beside the account")
    add_turn_options(parser)
    return parser.parse_args()


def silent_connections(stack, directory, program, _options):
    """One request after the other, each over a TLS connection of its own, beside connections that say nothing."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    tls = {"http.tls.certificate_file": str(certificate), "http.tls.key_file": str(key), "issuer": "https://localhost"}
    address, _ = start_by_default(stack, directory, program, tls)
    host, port = address.rsplit(":", 1)
    yield look("TLS request, alone", host, int(port))
    for count in SILENT:
        progress(f"{count} silent connections")
        with contextlib.ExitStack() as silent:
            stop = threading.Event()
            silent.callback(stop.set)
            keeper = threading.Thread(target=keep_silent, args=(host, int(port), count, stop))
            keeper.start()
            silent.callback(keeper.join)
            silent.callback(stop.set)
            time.sleep(2)
            yield look(f"TLS request, beside {count} silent connections of one address", host, int(port))


def keep_silent(host, port, count, stop):
    """So many connections of one address. Each that the server has closed is opened again."""
    connections = []
    while not stop.is_set():
        alive = []
        for connection in connections:
            try:
                connection.recv(1)
            except BlockingIOError:
                alive.append(connection)
                continue
            except OSError:
                pass
            connection.close()
        connections = alive
        for _ in range(min(count - len(connections), 200)):
            connection = socket.socket()
            connection.bind(("127.0.2.1", 0))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.connect((host, port))
            connections.append(connection)
        time.sleep(0.02)
    for connection in connections:
        connection.close()


def look(what, host, port, count=20, patience=10):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    waits, failed = [], 0
    for _ in range(count):
        begun = time.monotonic()
        connection = http.client.HTTPSConnection(
            host, port, timeout=patience, context=context, source_address=("127.0.1.1", 0)
        )
        try:
            connection.request("GET", "/.well-known/jwks.json")
            failed += connection.getresponse().status != 200
        except OSError:
            failed += 1
        finally:
            connection.close()
        waits.append(time.monotonic() - begun)
        if failed >= 3:
            break
    return row(what, waits, failed)


def changing_agents(stack, directory, program, options):
    """Eight sessions of others refresh in turn, alone and while three addresses refresh the sessions of one account and list
    them."""
    _, redis = start_redis(stack, directory, appendonly=False)
    cheap = {"store.url": redis, "password.bcrypt_cost": 4}
    address, password = start_by_default(stack, directory, program, cheap)
    with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as admin:
        signed_in = post(admin, "/login", {"username": "admin", "password": password}, 200)
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        for name in ["noisy", *(f"other{number}" for number in range(OTHERS))]:
            post(admin, "/admin/users", {"username": name, "password": password, "roles": ["user"]}, 201, headers)
    client = Client(address, "127.0.1.1")
    others = [client.signed_in(f"other{number}", password) for number in range(OTHERS)]
    progress("filling the histories")
    filler, noisy = Client(address, "127.0.2.9"), []
    for session in range(SESSIONS):
        pair = filler.signed_in("noisy", password)
        for line in range(LINES):
            filler.refresh(pair, agent(session * LINES + line))
        noisy.append(pair)
    time.sleep(1)
    yield others_refresh("refresh of others, alone", client, others, options.seconds)
    stop = threading.Event()
    attackers = [
        threading.Thread(target=attack, args=(Client(address, f"127.0.2.{k + 1}"), noisy[k::3], 10**6 * (k + 1), stop))
        for k in range(3)
    ]
    for attacker in attackers:
        attacker.start()
    try:
        yield others_refresh("refresh of others, beside one account with another agent each time", client, others, options.seconds)
    finally:
        stop.set()
        for attacker in attackers:
            attacker.join()


def attack(client, sessions, number, stop):
    due = time.monotonic()
    while not stop.is_set():
        number += 1
        pair = sessions[number % len(sessions)]
        client.refresh(pair, agent(number))
        client.ask("GET", "/sessions", None, pair["access_token"])
        due = max(due + 1 / PAIRS_A_SECOND, time.monotonic() - 1)
        time.sleep(max(0, due - time.monotonic()))


def others_refresh(what, client, others, seconds):
    waits, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        for pair in others:
            begun = time.monotonic()
            client.refresh(pair, "bench")
            waits.append(time.monotonic() - begun)
            time.sleep(0.01)
    return row(what, waits, 0)


def agent(number):
    """One that takes up as much as possible in a history."""
    return f"{number:08}" + '"' * 248


class Client:
    """One connection from an address."""

    def __init__(self, address, source):
        self.connection = http.client.HTTPConnection(address, timeout=60, source_address=(source, 0))

    def ask(self, method, path, body=None, access=None, agent="bench"):
        headers = {"User-Agent": agent, "Content-Type": "application/json"}
        if access:
            headers["Authorization"] = f"Bearer {access}"
        self.connection.request(method, path, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Failed(f"{method} {path}: {answer.status}: {text[:300].decode(errors='replace')}")
        return json.loads(text)

    def signed_in(self, name, password):
        return self.ask("POST", "/login", {"username": name, "password": password})

    def refresh(self, pair, agent):
        body = {"refresh_token": pair["refresh_token"]}
        pair |= self.ask("POST", "/token/refresh", body, pair["access_token"], agent)


def row(what, waits, failed):
    return [what, f"{statistics.median(waits) * 1000:.2f}", f"{max(waits) * 1000:.0f}", str(failed)]


if __name__ == "__main__":
    run_script(main)
