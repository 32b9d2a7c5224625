#!/usr/bin/env python3
"""Compares password hashes with passlib's: it verifies those that the server makes, and the server those that it makes.

Needs the debug binary `passwords` (`make verifiers` builds it) and python3-venv.
"""

import json
import subprocess
import sys

from common import TARGET, WORK, python

PASSWORDS = ["correct horse", "grüße 🔑", "x" * 71, "x" * 72, "x" * 73, "long " * 40, "ü" * 36]
MAKING = """
import json, sys
from passlib.hash import argon2, bcrypt, bcrypt_sha256
kinds = [bcrypt.using(ident=ident, rounds=4) for ident in ("2a", "2b", "2y")]
kinds += [bcrypt_sha256.using(rounds=4, version=version) for version in (1, 2)]
kinds += [argon2.using(type=kind, memory_cost=64, rounds=2, parallelism=2) for kind in ("I", "D", "ID")]
# As an application makes them that has configured nothing.
kinds += [argon2]
for password in json.load(sys.stdin):
    for kind in kinds:
        # bcrypt reads no more than 72 bytes: such a hash is of another password.
        if kind.name != "bcrypt" or len(password.encode()) <= 72:
            print(json.dumps({"password": password, "hash": kind.hash(password)}))
"""
VERIFYING = """
import json, sys
from passlib.context import CryptContext
context = CryptContext(["bcrypt", "bcrypt_sha256"])
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(context.verify(asked["password"], asked["hash"])))
"""


def run(command: list, lines: list[dict]) -> list:
    """What a program answers, line by line."""
    asked = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def another(line: dict) -> dict:
    """The same hash with a password that differs in its last character, so that a cut would show."""
    password = line["password"]
    return line | {"password": password[:-1] + ("a" if password[-1] != "a" else "b")}


def check(name: str, command: list, lines: list[dict]) -> list[str]:
    """What a program gets wrong of hashes and their passwords."""
    wrong = []
    for what, asked, expected in (("right", lines, True), ("wrong", [another(line) for line in lines], False)):
        said = run(command, asked)
        assert len(said) == len(asked), f"{name} has answered {len(said)} of {len(asked)} questions"
        wrong += [f"{name}: {line['hash']}: the {what} password gives {answer}"
                  for line, answer in zip(asked, said) if answer is not expected]
    return wrong


def main() -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    ours, passlib = [TARGET / "debug" / "passwords"], [python(), "-c"]
    made = run(ours, [{"password": password} for password in PASSWORDS])
    made = [{"password": password, "hash": text} for password, text in zip(PASSWORDS, made, strict=True)]
    schemes = {line["hash"].split("$")[1] for line in made}
    assert schemes == {"2b", "bcrypt-sha256"}, schemes
    done = subprocess.run([*passlib, MAKING], input=json.dumps(PASSWORDS), stdout=subprocess.PIPE, text=True, check=True)
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {line["hash"].split("$")[1] for line in theirs}
    assert kinds == {"2a", "2b", "2y", "bcrypt-sha256", "argon2i", "argon2d", "argon2id"}, kinds
    wrong = check("passlib", [*passlib, VERIFYING], made) + check("relatch", ours, theirs)
    good = f"passwords: passlib verifies {len(made)} hashes of ours, and we {len(theirs)} of its ({', '.join(sorted(kinds))})"
    print("\n".join(wrong) or good)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
