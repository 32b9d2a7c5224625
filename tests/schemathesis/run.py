#!/usr/bin/env python3
"""Has schemathesis attack a server of its own by what /openapi.json says, three times: as a stranger, as a user, as an
administrator. Fails on a server error, an answer that is not documented, or a request that should have been refused.

    python3 tests/schemathesis/run.py                   all three
    python3 tests/schemathesis/run.py --seed 7 admin    one of them, with other data

Needs the debug binary (`make schemathesis` builds it) and python3-venv. What it makes is under target/schemathesis.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")).resolve()
WORK = TARGET / "schemathesis"
PASSWORD = "correct horse battery staple"
# Who attacks, and the longest time in seconds that it may take: far more than it does.
ATTACKERS = {"stranger": 300, "user": 600, "admin": 600}
# Schemathesis leaves out the operation from which it has the document.
NOT_ATTACKED = {"getDocument"}


def schemathesis() -> pathlib.Path:
    """The program, installed in an environment of its own when the requirements have changed."""
    venv, wanted = WORK / "venv", (HERE / "requirements.txt").read_text()
    installed = venv / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        installed.write_text(wanted)
    return venv / "bin" / "schemathesis"


@contextlib.contextmanager
def server():
    """A server on a free port and an empty store. Gives its address."""
    with tempfile.TemporaryDirectory(prefix="relatch-schemathesis-") as directory:
        ready, log = pathlib.Path(directory, "ready"), WORK / "server.log"
        settings = {
            "RELATCH__HTTP__LISTEN": "127.0.0.1:0",
            "RELATCH__OPS__LISTEN": "127.0.0.1:0",
            "RELATCH__STORE__URL": f"redb:{directory}/relatch.redb",
            "RELATCH__BOOTSTRAP__ADMIN_PASSWORD": PASSWORD,
            # Every request signs in anew, see hooks.py.
            "RELATCH__PASSWORD__BCRYPT_COST": "4",
            "RELATCH__RATE_LIMIT__ENABLED": "false",
        }
        command = [TARGET / "debug" / "relatch", "serve", "--ready-file", ready]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=directory, env=os.environ | settings, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 30
            while not ready.exists() or not ready.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"the server does not start:\n{log.read_text()}")
                time.sleep(0.05)
            yield f"http://{ready.read_text().strip()}"
            if process.poll() is not None:
                sys.exit(f"the server has ended by itself, see {log}")
        finally:
            process.terminate()
            process.wait(20)


def call(base: str, path: str, body: dict, token: str = "") -> dict:
    """A POST of JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return json.load(response)


def never_succeeded(base: str) -> list[str]:
    """The operations that no administrator was ever answered with a success."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{base}/openapi.json") as response:
        paths = json.load(response)["paths"].values()
    operations = {operation["operationId"] for path in paths for operation in path.values()}
    answers = json.loads((WORK / "answers-admin.json").read_text())
    succeeded = {name for name, counts in answers.items() if any(status.startswith("2") for status in counts)}
    return sorted(operations - succeeded - NOT_ATTACKED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attackers", nargs="*", metavar="attacker", help=", ".join(ATTACKERS))
    parser.add_argument("--seed", default="20261121", help="of the data")
    arguments = parser.parse_args()
    attackers = arguments.attackers or list(ATTACKERS)
    WORK.mkdir(parents=True, exist_ok=True)
    program, failed = schemathesis(), []
    with server() as base:
        admin = call(base, "/login", {"username": "admin", "password": PASSWORD})["access_token"]
        # Whom the attackers sign in as, and who is there to be found.
        for name in ("attacker", "victim"):
            call(base, "/admin/users", {"username": name, "password": PASSWORD}, admin)
        for attacker in attackers:
            print(f"=== schemathesis as {attacker}", flush=True)
            environment = os.environ | {
                "RELATCH_BASE": base,
                "RELATCH_ATTACKER": attacker,
                "RELATCH_PASSWORD": PASSWORD,
                "PYTHONPATH": str(HERE),
                "NO_PROXY": "*",
            }
            config = ["--config-file", HERE / "schemathesis.toml"]
            command = [program, *config, "run", "--checks", "all", "--seed", arguments.seed]
            command.append(f"{base}/openapi.json")
            done = subprocess.run(command, cwd=WORK, env=environment, timeout=ATTACKERS[attacker])
            if done.returncode != 0:
                failed.append(attacker)
        if "admin" in attackers and (missed := never_succeeded(base)):
            print(f"never answered with a success, see with_real_values in hooks.py: {', '.join(missed)}")
            failed.append("in vain")
    print(f"schemathesis: failed {', '.join(failed)}" if failed else f"schemathesis: {len(attackers)} runs, no issues")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
