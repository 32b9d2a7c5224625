#!/usr/bin/env python3
"""Two nodes behind a balancer are restarted one after the other, and their signing key is rotated in between, while clients go on at a
constant rate and PyJWT and jose check every new token by the code of docs/api.md. No request may fail at its first try, and no
good token be refused.

That either can be seen is shown as well: a node that is stopped without `http.stop_delay` fails requests, and several rotations in a
row make jose refuse tokens.

Needs the debug binary (`make verifiers` builds it), redis-server, python3-venv and npm. What it makes is under target/verifiers.
"""

import asyncio
import contextlib
import http.client
import itertools
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time

from common import PASSWORD, Server, Verifier, call, free_port, programs

CLIENTS = 6
# Between two steps of a client, in seconds; a step is a refresh and a check.
PACE = 0.05
HEALTH_EVERY = 0.1
STOP_DELAY = 1.0
# A node looks for new keys every five seconds.
FOLLOWED = 6.0


class Balancer:
    """Passes connections on to the nodes in turn, but for those that do not say that they are ready."""

    def __init__(self, port: int, nodes: list[int]):
        self.port, self.ready, self.turn = port, dict.fromkeys(nodes, True), itertools.count()
        self.loop = asyncio.new_event_loop()
        listening = threading.Event()
        threading.Thread(target=self.loop.run_until_complete, args=(self.run(listening),), daemon=True).start()
        listening.wait()

    async def run(self, listening: threading.Event):
        await asyncio.start_server(self.connection, "127.0.0.1", self.port, backlog=256)
        listening.set()
        await asyncio.gather(*(self.watch(node) for node in self.ready))

    async def watch(self, node: int):
        while True:
            answer = b""
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", node)
                writer.write(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = await reader.readline()
                writer.close()
            self.ready[node] = b" 200 " in answer
            await asyncio.sleep(HEALTH_EVERY)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        there = [node for node, ready in self.ready.items() if ready]
        with contextlib.suppress(OSError):
            if there:
                to = await asyncio.open_connection("127.0.0.1", there[next(self.turn) % len(there)])
                await asyncio.gather(self.pipe(reader, to[1]), self.pipe(to[0], writer))
        writer.close()

    async def pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


class Load:
    """Clients that refresh and check, each at its times and never twice, and verifiers that are shown every new token."""

    def __init__(self, base: str, commands: dict[str, list]):
        self.base, self.stopping = base, threading.Event()
        self.requests, self.failed, self.refused, self.checked = 0, [], [], dict.fromkeys(commands, 0)
        self.lock, self.tokens = threading.Lock(), {name: queue.Queue() for name in commands}
        jobs = [(self.client, (number,)) for number in range(CLIENTS)]
        jobs += [(self.verify, (name, Verifier(command))) for name, command in commands.items()]
        self.threads = [threading.Thread(target=job, args=arguments) for job, arguments in jobs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        """Waits until all have done what they began."""
        self.stopping.set()
        for thread in self.threads[:CLIENTS]:
            thread.join()
        for tokens in self.tokens.values():
            tokens.put(None)
        for thread in self.threads[CLIENTS:]:
            thread.join()

    def client(self, number: int):
        pair = call(f"{self.base}/login", {"username": "admin", "password": PASSWORD})
        connection = http.client.HTTPConnection(self.base.removeprefix("http://"), timeout=20)
        due = time.monotonic() + PACE * number / CLIENTS
        while not self.stopping.is_set():
            due += PACE
            time.sleep(max(0, due - time.monotonic()))
            body = json.dumps({"refresh_token": pair["refresh_token"]})
            answer = self.request(connection, "POST", "/token/refresh", pair["access_token"], body)
            # After a failure the client goes on, with what it has.
            pair = json.loads(answer) if answer else pair
            self.request(connection, "GET", "/auth/check", pair["access_token"])
            if answer:
                for tokens in self.tokens.values():
                    tokens.put(pair["access_token"])

    def request(self, connection, method: str, path: str, token: str, body: str | None = None) -> bytes:
        """The answer's body; nothing if there is none or it is not 200."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer, problem = response.read(), response.status
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            answer, problem = b"", repr(error)
        with self.lock:
            self.requests += 1
            if problem == 200:
                return answer or b"{}"
            self.failed.append(f"{method} {path}: {problem} {answer.decode()}")
        return b""

    def verify(self, name: str, verifier: Verifier):
        while (token := self.tokens[name].get()) is not None:
            self.checked[name] += 1
            if verifier.says(token) != "admin":
                self.refused.append(name)
        verifier.end()


@contextlib.contextmanager
def redis(directory: str):
    """A Redis of our own; its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def two_nodes(base: str, directory: str, store: str, **settings: str):
    """Two nodes on a Redis, behind a balancer at `base`."""
    ports = [free_port(), free_port()]
    fixed = {
        "ISSUER": base,
        "OPS__LISTEN": "127.0.0.1:0",
        "STORE__URL": store,
        "BOOTSTRAP__ADMIN_PASSWORD": PASSWORD,
        "PASSWORD__BCRYPT_COST": "4",
        "RATE_LIMIT__ENABLED": "false",
        "SESSIONS__MAX_PER_USER": "100",
        "HTTP__STOP_DELAY": f"{STOP_DELAY:.0f}s",
    } | settings
    listening = lambda port: fixed | {"HTTP__LISTEN": f"127.0.0.1:{port}"}
    nodes = [Server(f"node-{at}", directory, listening(port)) for at, port in enumerate(ports)]
    Balancer(int(base.rsplit(":", 1)[1]), ports)
    try:
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def rotate(base: str, times: int = 1) -> list[str]:
    """The keys that sign after each rotation."""
    admin = call(f"{base}/login", {"username": "admin", "password": PASSWORD})["access_token"]
    return [call(f"{base}/admin/keys/rotate", {}, admin)["kid"] for _ in range(times)]


def restart(node: Server):
    """Stops a node and starts it, as an upgrade does."""
    node.stop()
    time.sleep(1)
    node.start()


def rolling(base: str, nodes: list[Server], commands: dict[str, list]) -> Load:
    """The restart of both nodes, with a rotation in between."""
    first, second = nodes
    with Load(base, commands) as load:
        time.sleep(2)
        restart(first)
        rotate(base)
        time.sleep(FOLLOWED)
        restart(second)
        time.sleep(1)
    return load


def without_care(base: str, nodes: list[Server], commands: dict[str, list]) -> Load:
    """What must fail: a node is killed, and keys are used as soon as they are published."""
    with Load(base, commands) as load:
        time.sleep(2)
        nodes[0].process.kill()
        nodes[0].process.wait()
        # Until the balancer has noticed.
        time.sleep(5 * HEALTH_EVERY)
        rotate(base, 4)
        time.sleep(1)
        nodes[0].start()
    return load


def main() -> int:
    base = f"http://127.0.0.1:{free_port()}"
    commands, wrong = programs(base), []
    with tempfile.TemporaryDirectory(prefix="relatch-rolling-") as directory, redis(directory) as store:
        master = subprocess.run([Server.BINARY, "key", "generate"], capture_output=True, text=True, check=True)
        with two_nodes(base, directory, store, MASTER_KEY=master.stdout.strip()) as nodes:
            load = rolling(base, nodes, commands)
            wrong += load.failed + [f"{name} refused a good token" for name in load.refused]
            shown = without_care(base, nodes, commands)
    checked = ", ".join(f"{name} checked {count} tokens" for name, count in load.checked.items())
    print(f"rolling restart: {load.requests} requests, {len(load.failed)} failed; {checked}, {len(load.refused)} refused")
    print(f"without care: {len(shown.failed)} of {shown.requests} requests failed, {len(shown.refused)} tokens refused")
    if min(load.checked.values()) < 200:
        wrong.append("there was hardly any load")
    if not shown.failed or "jose" not in shown.refused:
        wrong.append("failures are not seen")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
