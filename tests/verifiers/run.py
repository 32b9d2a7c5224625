#!/usr/bin/env python3
"""Runs the code of docs/api.md by which an API server checks access tokens, as it stands there: Python with PyJWT, Node with
jose. Both must take good tokens, of a new signing key too, and refuse all others.

Needs the debug binary (`make verifiers` builds it), python3-venv and npm. What it makes is under target/verifiers.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "verifiers"
PASSWORD = "correct horse battery staple"
DOCUMENTED = "http://localhost:8080"
# One token a line comes in; its user or the word `refused` goes out.
PYTHON_LOOP = """
import sys
for line in sys.stdin:
    try:
        print(caller(line.strip())["preferred_username"], flush=True)
    except jwt.PyJWTError:
        print("refused", flush=True)
"""
NODE_LOOP = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  console.log(await caller(line.trim()).then((claims) => claims.preferred_username, () => "refused"));
}
"""


def python() -> pathlib.Path:
    """A Python with PyJWT, installed in an environment of its own when the requirements have changed."""
    venv, wanted = WORK / "venv", (HERE / "requirements.txt").read_text()
    installed = venv / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        installed.write_text(wanted)
    return venv / "bin" / "python"


def shown(language: str) -> str:
    """The only block of a language in the guide."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    assert DOCUMENTED in block, f"the {language} block does not name the issuer"
    return block


def programs(base: str) -> dict[str, list]:
    """The guide's code for the issuer `base`, as programs."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, WORK)
    subprocess.run(["npm", "--prefix", WORK, "ci", "--no-audit", "--no-fund", "--silent"], check=True)
    files = {"verify.py": shown("python") + PYTHON_LOOP, "verify.mjs": shown("js") + NODE_LOOP}
    for name, code in files.items():
        (WORK / name).write_text(code.replace(DOCUMENTED, base))
    return {"PyJWT": [python(), WORK / "verify.py"], "jose": ["node", WORK / "verify.mjs"]}


@contextlib.contextmanager
def server(base: str, directory: str, **settings: str):
    """A server at `base` on the store in `directory`."""
    ready, log = pathlib.Path(directory, "ready"), WORK / "server.log"
    ready.unlink(missing_ok=True)
    fixed = {
        "ISSUER": base,
        "HTTP__LISTEN": base.removeprefix("http://"),
        "OPS__LISTEN": "127.0.0.1:0",
        "STORE__URL": f"redb:{directory}/relatch.redb",
        "BOOTSTRAP__ADMIN_PASSWORD": PASSWORD,
        "PASSWORD__BCRYPT_COST": "4",
    }
    environment = os.environ | {f"RELATCH__{key}": value for key, value in (fixed | settings).items()}
    command = [TARGET / "debug" / "relatch", "serve", "--ready-file", ready]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() or not ready.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server does not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def call(url: str, body: dict | None, token: str = "") -> dict:
    """A POST of JSON, or a GET if there is none."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
        return json.load(response)


def sign_in(base: str) -> str:
    """A fresh access token of the administrator."""
    return call(f"{base}/login", {"username": "admin", "password": PASSWORD})["access_token"]


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def expired(token: str) -> str:
    """The token, once its time has passed."""
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    while (left := claims["exp"] + 0.1 - time.time()) > 0:
        time.sleep(left)
    return token


def forgeries(token: str, jwks: dict) -> dict[str, str]:
    """What resembles a good token."""
    header, payload, signature = token.split(".")
    read = lambda part: json.loads(base64.urlsafe_b64decode(part + "=="))
    write = lambda value: encode(json.dumps(value).encode())
    raised = write(read(payload) | {"roles": ["root"]})
    shared = f"{write(read(header) | {'alg': 'HS256'})}.{payload}"
    # The public key as if it were a shared secret (RFC 8725, section 2.1).
    secret = json.dumps(jwks["keys"][0]).encode()
    return {
        "no token at all": "made.up.token",
        "other claims under the same signature": f"{header}.{raised}.{signature}",
        "no signature": f"{header}.{payload}.",
        "alg none": f"{write(read(header) | {'alg': 'none'})}.{payload}.",
        "the public key as a secret": f"{shared}.{encode(hmac.digest(secret, shared.encode(), hashlib.sha256))}",
        "an unknown key": f"{write(read(header) | {'kid': 'unknown'})}.{payload}.{signature}",
    }


class Verifier:
    """A program that says of each token whose it is."""

    def __init__(self, command: list):
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=WORK, env=os.environ | {"NO_PROXY": "*"}, **pipe)

    def says(self, token: str) -> str:
        self.process.stdin.write(token + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().strip()
        return said or sys.exit("the program has ended")

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


def check(name: str, command: list, base: str, bad: dict[str, str]) -> list[str]:
    """What a program gets wrong."""
    verifier, admin, wrong = Verifier(command), sign_in(base), []
    expect = lambda what, token, answer: verifier.says(token) == answer or wrong.append(f"{name}: {what}")
    expect("a good token", admin, "admin")
    for what, token in (bad | forgeries(admin, call(f"{base}/.well-known/jwks.json", None))).items():
        expect(what, token, "refused")
    call(f"{base}/admin/keys/rotate", {}, admin)
    new, deadline = sign_in(base), time.monotonic() + 30
    # It may take a while to load the keys again.
    while verifier.says(new) != "admin" and time.monotonic() < deadline:
        time.sleep(0.5)
    expect("a token by a new key", new, "admin")
    expect("a token by the key before", admin, "admin")
    verifier.end()
    return wrong


def main() -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    commands, wrong = programs(base), []
    with tempfile.TemporaryDirectory(prefix="relatch-verifiers-") as directory:
        bad = {}
        with server(base, directory, ACCESS_TOKEN__TTL="1s"):
            bad["an expired token"] = expired(sign_in(base))
        with server(base, directory, ACCESS_TOKEN__AUDIENCE="https://other.example"):
            bad["a token for somebody else"] = sign_in(base)
        with server(base, directory):
            for name, command in commands.items():
                wrong += check(name, command, base, bad)
    print("\n".join(wrong) or f"verifiers: {' and '.join(commands)} take what is good and refuse what is not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
