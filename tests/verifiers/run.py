#!/usr/bin/env python3
"""Runs the code of docs/api.md by which an API server checks access tokens, as it stands there: Python with PyJWT, Node with
jose. Both must take good tokens, of a new signing key too, and refuse all others.

Needs the debug binary (`make verifiers` builds it), python3-venv and npm. What it makes is under target/verifiers.
"""

import base64
import hashlib
import hmac
import json
import sys
import tempfile
import time

from common import WORK, Verifier, call, free_port, programs, server, sign_in


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
    base = f"http://127.0.0.1:{free_port()}"
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
