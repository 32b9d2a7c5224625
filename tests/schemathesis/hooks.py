"""How the attackers sign in, what they hold in their hands, and which refusals are no mistakes of the document.

Every request that needs somebody signs in anew, so that no request can end the session of the next one: nothing has to be
left out because it revokes, signs out, replaces or raises the cutoff. What would take an attacker away for good (another
password, a deletion, roles, `disabled`) happens to somebody new.
"""

import atexit
import json
import os
import pathlib

import schemathesis

from people import COOKIES, PASSWORD, SPARED, new_name, reset_token, sign_in, somebody

ATTACKER = os.environ["RELATCH_ATTACKER"]
# Who they sign in as, and how their tokens come back. A stranger has none.
USERNAME, DELIVERY = {
    "stranger": (None, None),
    "user": ("attacker", "body"),
    "admin": ("admin", "body"),
    "browser": ("admin", "cookie"),
}[ATTACKER]

# Stands where a token will be.
LATER = "later"

# Refusals (400) of requests that keep to the schema, because a schema cannot say what is wrong with them: what the detail
# begins with.
NO_SCHEMA_CAN_SAY = (
    # A cursor is opaque: it comes from the page before.
    "cursor: is not one of ours",
    # PRECIS (RFC 8265) goes by Unicode's tables.
    "username: a user name ",
    # The least length is a setting, the most is counted in bytes, common ones are refused, and so are control characters of
    # Unicode.
    "password: a password has",
    "password: a new password has",
    "password: this password is",
    "new_password: a password has",
    "new_password: a new password has",
    "new_password: this password is",
    # All attributes together have 1,024 bytes at the most. 1.0 is an integer to JSON Schema, and none to us.
    "attributes: all attributes together",
    "attributes.",
    # Of two times, or of a time and now.
    "until: is earlier than since",
    "signed_in_before: lies in the future",
    # A time before 1970 is none.
    "since: is not a time",
    "until: is not a time",
    "signed_in_before: is not a time",
    # Of keys there are only those that there are.
    "revoke: there is no such key",
    # Only the server can have made it.
    "The token was not issued by this server",
    # Exactly one place of three.
    "refresh_token: is missing",
    "refresh_token: came in two places",
    # One of two cookies, or the header.
    "the access token is missing",
    # What is generated for a Bearer token is any text.
    "the header authorization is not `Bearer` and one token",
)


if USERNAME:

    @schemathesis.auth(refresh_interval=None)
    class InTime:
        """Says that there will be a token. It comes when the request is sent: many are made in advance, and any of
        them may end the sessions of the others."""

        def get(self, case, context):
            return LATER

        def set(self, case, token, context):
            if DELIVERY == "cookie":
                case.cookies |= {COOKIES["access_token"]: token}
                # What no page can set, and every browser does.
                case.headers["Sec-Fetch-Site"] = "same-origin"
            else:
                case.headers["Authorization"] = token


def sign_in_for(case):
    """Puts tokens into a request, and into a well-formed one what belongs to them."""
    pair = sign_in(somebody() if operation(case) == "changePassword" else USERNAME, DELIVERY)
    if DELIVERY == "cookie":
        case.cookies[COOKIES["access_token"]] = pair["access_token"]
    else:
        case.headers["Authorization"] = f"Bearer {pair['access_token']}"
    if is_well_formed(case):
        with_real_values(case, pair)


def waits_for_tokens(case):
    return LATER in (case.headers.get("Authorization"), case.cookies.get(COOKIES["access_token"]))


def operation(case):
    return case.operation.definition.raw.get("operationId")


def is_well_formed(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def with_real_values(case, pair):
    """Puts in what only the server can have made, where the case has a well-formed value of that kind. In chains of
    requests the values come from the requests before."""
    name = operation(case)
    body = case.body if isinstance(case.body, dict) else {}
    if name in ("refresh", "signOut"):
        with_refresh_token(case, body, pair)
    elif name == "changePassword" and "current_password" in body:
        body["current_password"] = PASSWORD
    elif name == "revoke":
        with_somebody_to_revoke(body)
    elif name == "createUser" and case.meta.phase.name.value == "examples":
        body |= {"username": new_name(), "password": PASSWORD}
    if case.meta.phase.name.value == "stateful":
        return
    ids = case.path_parameters
    if name in ("endSession", "getSessionTimeline"):
        ids["id"] = sign_in(USERNAME)["session_id"]
    elif name in ("getUser", "listUserSessions", "endUserSessions", "endUserSession", "getUserTimeline"):
        victim = sign_in("victim")
        ids["id"] = victim["user"]["id"]
        if "sid" in ids:
            ids["sid"] = victim["session_id"]
    elif name in ("changeUser", "deleteUser"):
        ids["id"] = sign_in(somebody())["user"]["id"]


def with_refresh_token(case, body, pair):
    if DELIVERY == "cookie":
        body.pop("refresh_token", None)
        case.headers.pop("X-Refresh-Token", None)
        case.cookies |= {COOKIES["refresh_token"]: pair["refresh_token"]}
    elif body.get("refresh_token"):
        body["refresh_token"] = pair["refresh_token"]


def with_somebody_to_revoke(body):
    victim = sign_in("victim")
    real = {
        "session_id": victim["session_id"],
        "user_id": victim["user"]["id"],
        "username": "victim",
        "refresh_token": victim["refresh_token"],
        "access_token": victim["access_token"],
        "client_id": "relatch",
        "signed_in_before": "2026-01-01T00:00:00Z",
    }
    body |= {field: value for field, value in real.items() if body.get(field) is not None}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is no failure."""
    kind = type(failure).__name__
    if kind == "RejectedPositiveData" and response.status_code == 400:
        return not response.json().get("detail", "").startswith(NO_SCHEMA_CAN_SAY)
    # A refresh without an access token is 400, not 401: there is nobody to be challenged.
    if kind in ("IgnoredAuth", "MissingHeaderNotRejected") and case.operation.path == "/token/refresh":
        return not failure.message.startswith(("Expected 401 or 403, got `400 ", "Got 400 "))
    # A session that has ended has a timeline: it says why.
    if kind == "UseAfterFree" and case.operation.path == "/sessions/{id}/timeline":
        return False
    return True


@schemathesis.hook
def before_call(context, case, kwargs):
    """Signs in, has the document's examples of sign-in and registration succeed, and spares whom everybody needs."""
    if waits_for_tokens(case):
        sign_in_for(case)
    body, name = case.body, operation(case)
    if name == "resetPassword" and is_well_formed(case) and isinstance(body, dict) and body.get("reset_token"):
        body["reset_token"] = reset_token()
    if isinstance(body, dict) and body.get("username") == "ada":
        if name == "signIn":
            body |= {"username": "victim", "password": PASSWORD}
        elif name == "register":
            body |= {"username": new_name(), "password": PASSWORD}
    if name in ("changeUser", "deleteUser") and case.path_parameters.get("id") in SPARED:
        case.path_parameters["id"] = sign_in(somebody())["user"]["id"]


answers = {}


@schemathesis.hook
def after_call(context, case, response):
    """Counts the answers of each operation. run.py wants each to have succeeded: else little of it was tested."""
    if case.method.lower() != case.operation.method.lower():
        return
    counts = answers.setdefault(operation(case), {})
    counts[str(response.status_code)] = counts.get(str(response.status_code), 0) + 1


atexit.register(lambda: pathlib.Path(f"answers-{ATTACKER}.json").write_text(json.dumps(answers)))
