"""Servers with their default settings, measured in turns: this one and, if it is given, another binary."""

import contextlib
import pathlib
import secrets
import tempfile

from run import positive
from servers import Failed, add_build_options, await_address, base64_key, binary, build, start, tail, write_config


def add_turn_options(parser):
    parser.add_argument("--against", type=pathlib.Path, help="another binary of the server, measured in turns with this one")
    parser.add_argument("--rounds", type=positive, default=1)
    add_build_options(parser)


def in_turns(options, scenarios, heads):
    """Plays each scenario with each binary and prints their rows as one table. A scenario is a function of an exit stack, a
    directory, the binary's path and the options; it yields rows, each of which begins with what it is about."""
    build(options, "relatch")
    binaries = {"this": binary("relatch", options)}
    if options.against:
        binaries = {"against": options.against} | binaries
    rows = []
    for number in range(options.rounds):
        order = list(binaries) if number % 2 == 0 else list(reversed(binaries))
        for scenario in scenarios:
            for name in order:
                rows += [[str(number + 1), name, *row] for row in play(scenario, binaries[name], options)]
    rows.sort(key=lambda row: (row[2], row[0], row[1]))
    heads = ["round", "server", *heads]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def play(scenario, program, options):
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relatch-bench-")))
        try:
            yield from scenario(stack, directory, program, options)
        except Failed as failure:
            raise SystemExit(f"bench: {failure}\n{tail(directory / 'server.log')}") from failure


def start_by_default(stack, directory, program, more):
    """A server with its default settings but for `more`. Its address, and the administrator's password."""
    password, ready_file, config = secrets.token_urlsafe(18), directory / "ready", directory / "relatch.toml"
    values = {
        "store.url": f"redb:{directory}/relatch.redb",
        "master_key": base64_key(),
        "http.listen": "127.0.0.1:0",
        "ops.listen": "127.0.0.1:0",
        "bootstrap.admin_password": password,
    }
    write_config(config, values | more)
    process = start(stack, [program, "serve", "--config", config, "--ready-file", ready_file], directory, "server.log")
    return await_address(process, ready_file, directory).removeprefix("https://"), password
