#!/usr/bin/env python3
"""Has schemathesis attack a server of its own by what /openapi.json says, four times: as a stranger, as a user, as an
administrator, and as an administrator in a browser, with cookies. Fails on a server error, an answer that is not
documented, or a request that should have been refused.

    python3 tests/schemathesis/run.py                   all four
    python3 tests/schemathesis/run.py --seed 7 admin    one of them, with other data

Needs the debug binary (`make schemathesis` builds it) and python3-venv. What it makes is under target/schemathesis.
"""

import argparse
import concurrent.futures
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
# Who attacks, and with which of schemathesis's phases. Coverage goes by the schema alone: it is tried without a token, and
# with one that opens every door.
ALL = "examples,coverage,fuzzing,stateful"
ATTACKERS = {
    "stranger": ALL,
    "user": "examples,fuzzing,stateful",
    "admin": ALL,
    "browser": "examples,fuzzing,stateful",
}
# Who may do everything, and so must have succeeded at everything.
ALMIGHTY = {"admin", "browser"}
# The longest time in seconds that an attack may take: far more than it does.
PATIENCE = 600
# Schemathesis leaves out the operation from which it has the document.
NOT_ATTACKED = {"getDocument"}


def schemathesis() -> pathlib.Path:
    """The program, installed in an environment of its own when the requirements or the place have changed."""
    venv = WORK / "venv"
    wanted = f"# {venv}\n{(HERE / 'requirements.txt').read_text()}"
    installed = venv / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        installed.write_text(wanted)
    return venv / "bin" / "schemathesis"


@contextlib.contextmanager
def server(attacker: str):
    """A server on a free port and an empty store, for one attacker. Gives its address."""
    with tempfile.TemporaryDirectory(prefix="relatch-schemathesis-") as directory:
        ready, log = pathlib.Path(directory, "ready"), WORK / f"server-{attacker}.log"
        settings = {
            "RELATCH__HTTP__LISTEN": "127.0.0.1:0",
            "RELATCH__OPS__LISTEN": "127.0.0.1:0",
            "RELATCH__STORE__URL": f"redb:{directory}/relatch.redb",
            "RELATCH__BOOTSTRAP__ADMIN_PASSWORD": PASSWORD,
            "RELATCH__REGISTRATION__ENABLED": "true",
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


def never_succeeded(base: str, attacker: str) -> list[str]:
    """The operations that this administrator was never answered with a success."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{base}/openapi.json") as response:
        paths = json.load(response)["paths"].values()
    operations = {operation["operationId"] for path in paths for operation in path.values()}
    answers = json.loads((WORK / f"answers-{attacker}.json").read_text())
    succeeded = {name for name, counts in answers.items() if any(status.startswith("2") for status in counts)}
    return sorted(operations - succeeded - NOT_ATTACKED)


def attack(attacker: str, seed: str) -> tuple[str, list[str]]:
    """What schemathesis says, and what has failed."""
    with server(attacker) as base:
        admin = call(base, "/login", {"username": "admin", "password": PASSWORD})["access_token"]
        # Whom the attackers sign in as, and who is there to be found.
        for name in ("attacker", "victim"):
            call(base, "/admin/users", {"username": name, "password": PASSWORD}, admin)
        environment = os.environ | {
            "RELATCH_BASE": base,
            "RELATCH_ATTACKER": attacker,
            "RELATCH_PASSWORD": PASSWORD,
            "PYTHONPATH": str(HERE),
            "NO_PROXY": "*",
        }
        command = [schemathesis(), "--config-file", HERE / "schemathesis.toml", "run", "--checks", "all"]
        command += ["--seed", seed, "--phases", ATTACKERS[attacker], f"{base}/openapi.json"]
        done = subprocess.run(command, cwd=WORK, env=environment, timeout=PATIENCE, capture_output=True, text=True)
        said, failed = done.stdout + done.stderr, [attacker] if done.returncode != 0 else []
        if attacker in ALMIGHTY and (missed := never_succeeded(base, attacker)):
            said += f"never answered with a success, see with_real_values in hooks.py: {', '.join(missed)}\n"
            failed.append(f"{attacker}, in vain")
    return said, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attackers", nargs="*", metavar="attacker", help=", ".join(ATTACKERS))
    parser.add_argument("--seed", default="20261121", help="of the data")
    arguments = parser.parse_args()
    attackers = arguments.attackers or list(ATTACKERS)
    WORK.mkdir(parents=True, exist_ok=True)
    schemathesis()
    all_failed = []
    # Each has a server of its own: what one does to it does not disturb the others.
    with concurrent.futures.ThreadPoolExecutor() as threads:
        attacks = [threads.submit(attack, attacker, arguments.seed) for attacker in attackers]
        for attacker, (said, failed) in zip(attackers, (attack.result() for attack in attacks)):
            print(f"=== schemathesis as {attacker}\n{said}", flush=True)
            all_failed += failed
    outcome = f"failed {', '.join(all_failed)}" if all_failed else f"{len(attackers)} runs, no issues"
    print(f"schemathesis: {outcome}")
    return 1 if all_failed else 0


if __name__ == "__main__":
    sys.exit(main())
