"""A run: in each round, every contender in turn is started, put under load and stopped."""

import os
import platform
import sys
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.accounts import sign_in
from benchmarks.load import Result, generator, put
from benchmarks.servers import Contender, add_row, serving


@dataclass(frozen=True)
class Turn:
    """Results of a contender in one round."""

    start: float
    """Seconds from process start to the first 200."""

    first_post: float
    """Seconds for the next request, a POST."""

    results: dict[str, Result]
    """Results by case."""

    memory: float
    """Resident memory after the load, in MiB."""


@dataclass(frozen=True)
class Found:
    """Turns by contender, one per round."""

    cases: Sequence[str]
    turns: dict[str, list[Turn]] = field(default_factory=lambda: defaultdict(list))


def add_options(parser: ArgumentParser) -> None:
    """Add the options of `measure`."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load per measurement (default: 3)")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1],
        help="per server; several are not pinned, and only for projects and the textbook floor (default: 1)",
    )


def describe(database: str, options: Namespace) -> str:
    """Return a line that describes the machine and the options."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {database}; "
        f"load by {generator()}, {options.connections} connections, {options.rounds} rounds of {options.seconds} s, "
        f"load average at the end {os.getloadavg()[0]:.1f}"
    )


def measure(
    contenders: Sequence[Contender], cases: Sequence[str], options: Namespace, folder: Path
) -> dict[int, Found]:
    """Measure contenders in turn; return the results by number of workers.

    One server runs at a time, because idle ones would keep their database connections.
    """
    found = {workers: Found(cases) for workers in options.workers}
    entries = [(n, each) for n in options.workers for each in contenders if n == 1 or each.scales]
    tokens = {contender.name: contender.token for contender in contenders}
    for number in range(options.rounds):
        first = number % len(entries)
        for workers, contender in [*entries[first:], *entries[:first]]:
            turn, tokens[contender.name] = _turn(
                contender, tokens[contender.name], cases, options, folder, workers
            )
            found[workers].turns[contender.name].append(turn)
        sys.stderr.write(f"round {number + 1} of {options.rounds}, load average {os.getloadavg()[0]:.1f}\n")
    return found


def _turn(
    contender: Contender, token: str, cases: Sequence[str], options: Namespace, folder: Path, workers: int
) -> tuple[Turn, str]:
    """Measure a contender; also return the access token, so that its next turn can start with the POST."""
    results = {}
    with serving(contender, folder / "server.log", workers) as server:
        post = add_row(server, contender.routes, token)
        for case in map(contender.routes.case, cases):
            warm = put(server, case, token=token, connections=options.connections, seconds=1)
            if warm.errors and not contender.may_fail:
                raise RuntimeError(f"{contender.name}: errors for {case.name}: {warm}")
            load = {"connections": options.connections, "seconds": options.seconds}
            results[case.name] = put(server, case, token=token, **load)
        turn = Turn(server.started_after, post, results, server.memory)
        renewed = contender.signs_in and contender.routes.renews
        return turn, sign_in(server.port, contender.routes) if renewed else token
