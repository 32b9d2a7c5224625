"""Who attacks, with which tokens, and which refusals are no mistakes of the document.

Every request that needs somebody signs in anew, so that no request can end the session of the next one: nothing has to be
left out because it revokes, signs out or replaces.
"""

import atexit
import json
import os
import pathlib
import urllib.request

import schemathesis

BASE = os.environ["RELATCH_BASE"]
ATTACKER = os.environ["RELATCH_ATTACKER"]
USERNAME = {"user": "attacker", "admin": "admin"}.get(ATTACKER)

# Refusals (400) of requests that keep to the schema, because a schema cannot say what is wrong with them: what the detail
# begins with.
NO_SCHEMA_CAN_SAY = (
    # A cursor is opaque: it comes from the page before.
    "cursor: is not one of ours",
    # PRECIS (RFC 8265) goes by Unicode's tables.
    "username: a user name has",
    # The least length is a setting, the most is counted in bytes, and PRECIS refuses control characters.
    "password: a password has",
    # Exactly one place of two.
    "refresh_token: is missing",
    "refresh_token: came in the body and in the header",
    # What is generated for a Bearer token is any text.
    "the header authorization is not `Bearer` and one token",
)


def call(path, body):
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return json.load(response)


def sign_in(username=USERNAME):
    return call("/login", {"username": username, "password": os.environ["RELATCH_PASSWORD"]})


if USERNAME:

    @schemathesis.auth(refresh_interval=None)
    class FreshSession:
        """An access token that nobody else uses."""

        def get(self, case, context):
            return sign_in()

        def set(self, case, pair, context):
            case.headers["Authorization"] = f"Bearer {pair['access_token']}"
            with_real_values(case, pair)


def with_real_values(case, pair):
    """Puts in what only the server can have made, where the case has a well-formed value of that kind."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = case.operation.definition.raw.get("operationId")
    body = case.body if isinstance(case.body, dict) else {}
    if operation in ("refresh", "signOut") and body.get("refresh_token"):
        body["refresh_token"] = pair["refresh_token"]
    elif operation == "endSession":
        case.path_parameters["id"] = sign_in()["session_id"]
    elif operation == "getUser":
        case.path_parameters["id"] = sign_in("victim")["user"]["id"]
    elif operation == "revoke" and body.get("username"):
        body["username"] = "victim"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is no failure."""
    kind = type(failure).__name__
    if kind == "RejectedPositiveData" and response.status_code == 400:
        return not response.json().get("detail", "").startswith(NO_SCHEMA_CAN_SAY)
    # A refresh without an access token is 400, not 401: there is nobody to be challenged.
    if kind in ("IgnoredAuth", "MissingHeaderNotRejected") and case.operation.path == "/token/refresh":
        return not failure.message.startswith(("Expected 401 or 403, got `400 ", "Got 400 "))
    return True


@schemathesis.hook
def before_call(context, case, kwargs):
    """Has the sign-in of the document's example succeed."""
    body = case.body
    if case.operation.path == "/login" and isinstance(body, dict) and body.get("username") == "ada":
        body |= {"username": "victim", "password": os.environ["RELATCH_PASSWORD"]}


answers = {}


@schemathesis.hook
def after_call(context, case, response):
    """Counts the answers of each operation. run.py wants each to have succeeded: else little of it was tested."""
    name = case.operation.definition.raw.get("operationId")
    counts = answers.setdefault(name, {})
    counts[str(response.status_code)] = counts.get(str(response.status_code), 0) + 1


atexit.register(lambda: pathlib.Path(f"answers-{ATTACKER}.json").write_text(json.dumps(answers)))
