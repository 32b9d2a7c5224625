"""The processes of one round: each started by it, and stopped when it ends, however it ends."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
START_TIMEOUT = 30
STOP_TIMEOUT = 10


class Failed(Exception):
    """What went wrong, in words for the person who runs this."""


def run_script(main):
    """Runs a script so that it ends by an exception whoever ends it: the processes that were started are stopped then."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")


def add_build_options(parser):
    """Which binaries are measured: those of the profile of which the image is made, if nothing else is said."""
    parser.add_argument(
        "--profile", choices=("dist", "release", "dev"), default="dist", help="dev is for trying this script"
    )
    parser.add_argument("--no-build", action="store_true", help="use the binaries that are there")


def build(options, *binaries):
    if options.no_build:
        return
    command = ["cargo", "build", "--locked", "--profile", options.profile, "-p", "relatch", "-p", "relatch-bench"]
    for name in binaries:
        command += ["--bin", name]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        sys.exit("bench: the build failed")


def binary(name, options):
    directory = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return directory / ("debug" if options.profile == "dev" else options.profile) / name


def start_redis(stack, directory, appendonly):
    # Another process may take the port between our asking for a free one and Redis' binding it.
    for _ in range(5):
        port = free_port()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        arguments += ["--appendonly", "yes" if appendonly else "no", "--appendfsync", "everysec"]
        process = start(stack, ["redis-server", *arguments], directory, "redis.log")
        if wait_until(lambda: answers_ping(port), process):
            return process, f"redis://127.0.0.1:{port}/"
    raise Failed(f"redis-server does not start\n{tail(directory / 'redis.log')}")


def free_port():
    """A port of the loopback that nobody uses, below those that connections get of themselves: one of these may be taken before a
    server is there to listen."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers_ping(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
    except OSError:
        return False


def start_floor(stack, directory, redis_url, algorithm, options):
    ready_file = directory / "ready"
    arguments = ["--redis", redis_url, "--algorithm", algorithm, "--ready-file", ready_file]
    process = start(stack, [binary("floor", options), *arguments], directory, "server.log")
    return process, await_address(process, ready_file, directory)


def start_relatch(stack, directory, redis_url, algorithm, password, options):
    ready_file, config = directory / "ready", directory / "relatch.toml"
    values = {
        "store.url": redis_url,
        "http.listen": "127.0.0.1:0",
        "ops.listen": "127.0.0.1:0",
        "master_key": base64_key(),
        "access_token.algorithm": algorithm,
        # Signing in is not what is measured; it only has to be over soon.
        "password.bcrypt_cost": 4,
        "rate_limit.enabled": False,
        "bootstrap.admin_username": "admin",
        "bootstrap.admin_password": password,
    }
    values |= dict(map(parse_setting, options.set))
    write_config(config, values)
    command = [binary("relatch", options), "serve", "--config", config, "--ready-file", ready_file]
    process = start(stack, command, directory, "server.log")
    return process, await_address(process, ready_file, directory)


def write_config(path, values):
    # A JSON string, number or boolean is the same in TOML.
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    path.chmod(0o600)


def base64_key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


def parse_setting(text):
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def start(stack, command, directory, log):
    """Starts a process that is stopped when the round ends, however it ends."""
    # In the temporary directory, so that nothing in the working directory is read or written.
    with open(directory / log, "ab") as output:
        try:
            process = subprocess.Popen(
                command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except FileNotFoundError as error:
            raise Failed(f"{command[0]} is not there: build or install it") from error
    stack.callback(stop, process)
    return process


def clean_environment():
    """Without settings of the person's own Relatch, which would change what is measured."""
    return {key: value for key, value in os.environ.items() if not key.startswith("RELATCH")}


def stop(process):
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_address(process, ready_file, directory):
    """The first line of the ready file, once it is there and whole."""
    if not wait_until(lambda: ready_file.exists() and "\n" in ready_file.read_text(), process):
        raise Failed(f"the server does not get ready\n{tail(directory / 'server.log')}")
    return ready_file.read_text().splitlines()[0].strip().removeprefix("http://")


def wait_until(condition, process, pause=0.01):
    """Whether the condition came true before the process ended or patience did. Asked after each pause, in seconds."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return True
        time.sleep(pause)
    return False


def tail(log):
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-20:])


def create_users(address, password, options):
    """Makes `bench0`, `bench1` and so on, as many as the sessions need."""
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        signed_in = post(connection, "/login", {"username": "admin", "password": password}, 200)
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        for number in range(-(-options.sessions // options.sessions_per_user)):
            user = {"username": f"bench{number}", "password": password, "roles": ["user"]}
            post(connection, "/admin/users", user, 201, headers)


def run_load(address, password, directory, options, *arguments):
    """Has the load generator sign everybody in and refresh. Gives its report; any answer but 200 fails it."""
    command = [
        binary("load", options),
        f"--url=http://{address}",
        f"--sessions={options.sessions}",
        f"--sessions-per-user={options.sessions_per_user}",
        f"--connections={options.connections}",
        f"--duration={round(options.seconds * 1000)}ms",
        "--json",
        *arguments,
    ]
    environment = clean_environment() | {"RELATCH_BENCH_PASSWORD": password}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise Failed(f"the load failed, see above\n{tail(directory / 'server.log')}")
    return json.loads(run.stdout)


def post(connection, path, body, expected, headers=None):
    try:
        headers = {"Content-Type": "application/json"} | (headers or {})
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"POST {path}: {error}") from error
    if response.status != expected:
        raise Failed(f"POST {path}: {response.status} instead of {expected}: {text[:400].decode(errors='replace')}")
    return json.loads(text)
