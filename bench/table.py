"""Figures of the rounds, and the table that sums them up."""

import dataclasses
import os
import statistics


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one round found."""

    rate: float
    server_us: float
    redis_us: float
    load_us: float
    p50: float
    p99: float

    @classmethod
    def of(cls, report):
        """Takes the JSON of the load generator, which was given the server's pid first and Redis' second."""
        server, redis = report["cpu"]
        return cls(
            rate=report["refreshes_per_second"],
            server_us=server["us_per_refresh"],
            redis_us=redis["us_per_refresh"],
            load_us=report["load_cpu"]["us_per_refresh"],
            p50=report["latency_us"]["p50"],
            p99=report["latency_us"]["p99"],
        )


def table(results, options):
    """One row for each algorithm and contender: medians of the rounds."""
    columns = ("refreshes/s", "(lowest-highest)", "server µs", "Redis µs", "load µs", "p50 ms", "p99 ms")
    lines = [describe(options), "", f"{'':24}" + "".join(f"{column:>17}" for column in columns)]
    for algorithm, found in results.items():
        for name, rounds in found.items():
            lines.append(row(f"{algorithm} {name}", rounds))
        if {"floor", "relatch"} <= found.keys():
            lines.append(ratio_row(found["floor"], found["relatch"]))
    lines += ["", "µs: processor time of that process for one request. Medians of the rounds;"]
    lines.append("the ratio is the median over the rounds of relatch / floor.")
    return "\n".join(lines)


def describe(options):
    keys = "with" if options.attempt_keys else "without"
    persistence = "AOF everysec" if options.appendonly else "no persistence"
    extra = f"; relatch with {', '.join(options.set)}" if options.set else ""
    debug = "; DEV PROFILE: THE FIGURES MEAN NOTHING" if options.profile == "dev" else ""
    doing = "" if options.scenario == "refresh" else f"{options.scenario}; "
    return (
        f"{doing}{os.cpu_count()} cores; {options.connections} connections, {options.sessions} sessions,"
        f" {options.sessions_per_user} a user, {keys} attempt keys; Redis: {persistence};"
        f" {options.rounds} rounds of {options.seconds:g} s{extra}{debug}"
    )


def row(label, rounds):
    def median(field):
        return statistics.median(getattr(figures, field) for figures in rounds)

    rates = [figures.rate for figures in rounds]
    cells = [
        f"{median('rate'):.0f}",
        f"({min(rates):.0f}-{max(rates):.0f})",
        *(f"{median(field):.1f}" for field in ("server_us", "redis_us", "load_us")),
        *(f"{median(field) / 1000:.2f}" for field in ("p50", "p99")),
    ]
    return f"{label:24}" + "".join(f"{cell:>17}" for cell in cells)


def ratio_row(floor, relatch):
    """Each round's relatch by the same round's floor: the two ran one after the other."""

    def ratio(field):
        pairs = [(getattr(ours, field), getattr(theirs, field)) for ours, theirs in zip(relatch, floor)]
        return statistics.median(a / b if b else float("nan") for a, b in pairs)

    fields = ("rate", None, "server_us", "redis_us", "load_us", "p50", "p99")
    cells = (f"{ratio(field):.2f}" if field else "" for field in fields)
    return f"{'  ratio':24}" + "".join(f"{cell:>17}" for cell in cells)
