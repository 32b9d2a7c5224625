"""Who is there: the attackers, a victim, and somebody new for whatever must not befall one of them."""

import http.cookies
import itertools
import json
import os
import urllib.request

BASE = os.environ["RELATCH_BASE"]
PASSWORD = os.environ["RELATCH_PASSWORD"]
# The names of the cookies, by what is in them.
COOKIES = {"access_token": "__Host-relatch-at", "refresh_token": "__Host-relatch-rt"}
numbers = itertools.count()


def call(path, body, token=None):
    """A POST of JSON. Gives the answer and the cookies that it sets."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        cookies = http.cookies.SimpleCookie()
        for cookie in response.headers.get_all("Set-Cookie", ()):
            cookies.load(cookie)
        return json.load(response), {name: morsel.value for name, morsel in cookies.items()}


def sign_in(username, delivery="body"):
    """A session that nobody else uses: the answer, with both tokens in it wherever they came."""
    answer, cookies = call("/login", {"username": username, "password": PASSWORD, "delivery": delivery})
    return answer | {token: cookies[name] for token, name in COOKIES.items() if name in cookies}


def new_name():
    return f"somebody-{os.getpid()}-{next(numbers)}"


def somebody():
    """The name of a new user."""
    name = new_name()
    call("/admin/users", {"username": name, "password": PASSWORD}, sign_in("admin")["access_token"])
    return name


def reset_token():
    """By which somebody new can set a password."""
    user = sign_in(somebody())["user"]["id"]
    issued, _ = call(f"/admin/users/{user}/reset", {}, sign_in("admin")["access_token"])
    return issued["reset_token"]


# Without these nobody could go on.
SPARED = frozenset(sign_in(name)["user"]["id"] for name in ("admin", "attacker", "victim"))
