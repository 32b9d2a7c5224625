"""What the programs of this folder share: servers of their own, and the code of docs/api.md by which an API server checks access
tokens, as it stands there.

What is made is under target/verifiers.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
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
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, WORK)
    subprocess.run(["npm", "--prefix", WORK, "ci", "--no-audit", "--no-fund", "--silent"], check=True)
    files = {"verify.py": shown("python") + PYTHON_LOOP, "verify.mjs": shown("js") + NODE_LOOP}
    for name, code in files.items():
        (WORK / name).write_text(code.replace(DOCUMENTED, base))
    return {"PyJWT": [python(), WORK / "verify.py"], "jose": ["node", WORK / "verify.mjs"]}


class Server:
    """A server's process. `name` is that of its files."""

    BINARY = TARGET / "debug" / "relatch"

    def __init__(self, name: str, directory: str, settings: dict[str, str]):
        self.name, self.directory = name, directory
        self.environment = os.environ | {f"RELATCH__{key}": value for key, value in settings.items()}
        self.start()

    def start(self):
        """Starts it, and waits until it is ready."""
        ready, log = pathlib.Path(self.directory, f"{self.name}.ready"), WORK / f"{self.name}.log"
        ready.unlink(missing_ok=True)
        command = [self.BINARY, "serve", "--ready-file", ready]
        with log.open("wb") as output:
            files = {"stdout": output, "stderr": output}
            self.process = subprocess.Popen(command, cwd=self.directory, env=self.environment, **files)
        deadline = time.monotonic() + 30
        while not ready.exists() or not ready.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server does not start:\n{log.read_text()}")
            time.sleep(0.05)

    def stop(self):
        """Asks it to stop, and waits until it has."""
        self.process.terminate()
        if self.process.wait(30) != 0:
            sys.exit(f"the server ended with {self.process.returncode}")


@contextlib.contextmanager
def server(base: str, directory: str, **settings: str):
    """A server at `base` on the store in `directory`."""
    fixed = {
        "ISSUER": base,
        "HTTP__LISTEN": base.removeprefix("http://"),
        "OPS__LISTEN": "127.0.0.1:0",
        "STORE__URL": f"redb:{directory}/relatch.redb",
        "BOOTSTRAP__ADMIN_PASSWORD": PASSWORD,
        "PASSWORD__BCRYPT_COST": "4",
    }
    running = Server("server", directory, fixed | settings)
    try:
        yield running
    finally:
        running.stop()


def call(url: str, body: dict | None, token: str = "") -> dict:
    """A POST of JSON, or a GET if there is none."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
        return json.load(response)


def sign_in(base: str) -> str:
    """A fresh access token of the administrator."""
    return call(f"{base}/login", {"username": "admin", "password": PASSWORD})["access_token"]


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


def free_port() -> int:
    """A port of the loopback that nobody uses, below those that connections get of themselves: one of these may be taken before a
    server is there to listen."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
