#!/usr/bin/env python3
"""Imports users with the hashes that other systems make of their passwords, and signs each of them in twice.

The systems are passlib, argon2-cffi, Django, Werkzeug, bcryptjs and PHP; ASP.NET Core Identity's hashes are made here, after the layout
that its documentation gives. Needs the debug binary `relatch` (`make verifiers` builds it), python3-venv, node and php.
"""

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import urllib.error

from common import HERE, WORK, Server, call, free_port, python, server

KOREAN = unicodedata.normalize("NFC", "안녕하세요 세계")
PASSWORDS = ["correct horse", KOREAN, unicodedata.normalize("NFD", KOREAN), "correct\u00a0horse", "correct\thorse", "long " * 20]
PYTHON = """
import json, sys
import django
from django.conf import settings
settings.configure()
django.setup()
from django.contrib.auth import hashers
from argon2 import PasswordHasher
from passlib import hash as passlib
from werkzeug.security import generate_password_hash
# Before the first hash its backend is not there, and variants that are made then have none.
passlib.argon2.hash("anything")
def cheap(kind, **cost):
    return type(kind.__name__, (kind,), cost)()
def django_encode(hasher, **cost):
    return lambda password: hasher.encode(password, hasher.salt(), **cost)
kinds = {f"passlib {ident}": passlib.bcrypt.using(ident=ident, rounds=4).hash for ident in ("2a", "2b", "2y")}
kinds |= {f"passlib bcrypt_sha256 {version}": passlib.bcrypt_sha256.using(rounds=4, version=version).hash for version in (1, 2)}
kinds |= {f"passlib {name}": getattr(passlib, name).using(rounds=1000).hash for name in ("pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512")}
kinds |= {"passlib scrypt": passlib.scrypt.using(rounds=8).hash}
kinds |= {f"passlib argon2{kind}": passlib.argon2.using(type=kind, memory_cost=64, rounds=2).hash for kind in ("I", "D", "ID")}
kinds |= {"argon2-cffi": PasswordHasher().hash}
kinds |= {f"werkzeug {method}": (lambda password, method=method: generate_password_hash(password, method))
          for method in ("pbkdf2:sha1:1000", "pbkdf2:sha256:1000", "pbkdf2:sha512:1000", "scrypt:1024:8:1", "scrypt")}
kinds |= {
    "django pbkdf2_sha256": django_encode(hashers.PBKDF2PasswordHasher(), iterations=1000),
    "django pbkdf2_sha1": django_encode(hashers.PBKDF2SHA1PasswordHasher(), iterations=1000),
    "django scrypt": django_encode(cheap(hashers.ScryptPasswordHasher, work_factor=1024)),
    "django argon2": django_encode(cheap(hashers.Argon2PasswordHasher, memory_cost=64, time_cost=1, parallelism=1)),
    "django bcrypt": django_encode(cheap(hashers.BCryptPasswordHasher, rounds=4)),
    "django bcrypt_sha256": django_encode(cheap(hashers.BCryptSHA256PasswordHasher, rounds=4)),
}
for password in json.load(sys.stdin):
    for kind, made in kinds.items():
        print(json.dumps([kind, password, made(password)]))
"""
NODE = """
import bcrypt from "bcryptjs";
let text = "";
for await (const chunk of process.stdin) text += chunk;
for (const password of JSON.parse(text)) console.log(JSON.stringify(["bcryptjs", password, bcrypt.hashSync(password, 4)]));
"""
PHP = """
foreach (json_decode(stream_get_contents(STDIN)) as $password) {
    echo json_encode(["php bcrypt", $password, password_hash($password, PASSWORD_BCRYPT, ["cost" => 4])]), "\\n";
    if (defined("PASSWORD_ARGON2ID")) {
        $cost = ["memory_cost" => 64, "time_cost" => 1, "threads" => 1];
        echo json_encode(["php argon2id", $password, password_hash($password, PASSWORD_ARGON2ID, $cost)]), "\\n";
    }
}
"""


def made_by(command: list) -> list[list[str]]:
    """Kind, password and hash of each that a program makes of the passwords."""
    done = subprocess.run(command, input=json.dumps(PASSWORDS), stdout=subprocess.PIPE, text=True, check=True, cwd=WORK)
    return [json.loads(line) for line in done.stdout.splitlines()]


def identity(password: str) -> list[list[str]]:
    """What `PasswordHasher<TUser>` of ASP.NET Core Identity stores, version 2 and version 3 with each function."""
    salt = bytes(range(16))
    output = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, 1000, 32)
    made = [["asp.net 2", password, base64.b64encode(b"\0" + salt + output).decode()]]
    for number, name in enumerate(("sha1", "sha256", "sha512")):
        head = b"\1" + b"".join(field.to_bytes(4, "big") for field in (number, 1000, len(salt)))
        output = hashlib.pbkdf2_hmac(name, password.encode(), salt, 1000, 32)
        made.append([f"asp.net 3 {name}", password, base64.b64encode(head + salt + output).decode()])
    return made


def relatch(running: Server, *arguments: str) -> str:
    """What a command prints."""
    command = [Server.BINARY, "user", *arguments]
    done = subprocess.run(command, cwd=running.directory, env=running.environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def signs_in(base: str, username: str, password: str) -> bool:
    """Whether the server takes the password."""
    try:
        call(f"{base}/login", {"username": username, "password": password})
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
        return False
    return True


def wrong_of(base: str, running: Server, users: dict[str, list[str]]) -> list[str]:
    """What goes wrong with imported users."""
    wrong = []
    for username, (kind, password, _) in users.items():
        if signs_in(base, username, "!" + password):
            wrong.append(f"{kind}: takes a wrong password for {password!r}")
        wrong += [f"{kind}: refuses {password!r} the {time} time" for time in ("first", "second") if not signs_in(base, username, password)]
    exported = {user["username"]: user["password_hash"] for user in map(json.loads, relatch(running, "export").splitlines())}
    for username, (kind, password, before) in users.items():
        after = exported[username]
        if after == before or not after.startswith(("$2b$04$", "$bcrypt-sha256$v=2,t=2b,r=4$")):
            wrong.append(f"{kind}: the hash of {password!r} is not made anew: {after}")
    return wrong


def main() -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, WORK)
    subprocess.run(["npm", "--prefix", WORK, "ci", "--no-audit", "--no-fund", "--silent"], check=True)
    made = made_by([python(), "-c", PYTHON])
    made += made_by(["node", "--input-type=module", "--eval", NODE])
    made += made_by(["php", "-r", PHP])
    made += [line for password in PASSWORDS for line in identity(password)]
    users = {f"user-{number}": line for number, line in enumerate(made)}
    base = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as directory:
        table = os.path.join(directory, "users.csv")
        with open(table, "w", newline="", encoding="utf-8-sig") as file:
            rows = [[username, text] for username, (_, _, text) in users.items()]
            csv.writer(file).writerows([["username", "password_hash"], *rows])
        with server(base, directory, RATE_LIMIT__ENABLED="false") as running:
            said = relatch(running, "import", table)
            assert said.startswith(f"{len(users)} users added, "), said
            wrong = wrong_of(base, running, users)
    kinds = {kind for kind, _, _ in made}
    good = f"imports: {len(users)} hashes of {len(kinds)} kinds sign in and are made anew ({', '.join(sorted(kinds))})"
    print("\n".join(wrong) or good)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
