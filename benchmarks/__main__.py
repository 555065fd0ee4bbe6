"""The command: `uv run --group benchmarks python -m benchmarks --help`."""

import argparse
import os
import platform
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report, stores
from benchmarks.load import CASES, Result, generator, put
from benchmarks.project import Project, render
from benchmarks.servers import Contender, serving, start_up

PROJECT, TEXTBOOK, RAW = "project", "textbook", "raw"
FLOORS = Path(__file__).parent / "floors"
SETTINGS = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "RATE_LIMIT": "1000000000/minute",
    "ENV_FILE": "",
}
"""As in production; the limit is out of reach, and every request is still counted."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of load, interleaved (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load for each number (default: 3)")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument(
        "--case", action="append", choices=[case.name for case in CASES], help="only this; repeatable"
    )
    parser.add_argument(
        "--starts", type=int, default=5, help="starts of each server to take the median of (default: 5)"
    )
    parser.add_argument(
        "--textbook-pool", help="another pool for the textbook floor: SIZE+OVERFLOW (its default: 5+10)"
    )
    return parser.parse_args()


def _contenders(arguments: argparse.Namespace, project: Project, store: dict[str, str]) -> list[Contender]:
    pool = dict(zip(("POOL_SIZE", "MAX_OVERFLOW"), (arguments.textbook_pool or "").split("+"), strict=False))
    textbook = store | {name: value for name, value in pool.items() if value}
    found = [Contender(PROJECT, project.path, "app.main:app", SETTINGS | store)]
    found.append(Contender(TEXTBOOK, FLOORS, "textbook:app", textbook))
    if arguments.database == "postgresql":
        found.append(Contender(RAW, FLOORS, "raw:app", store))
    return found


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Render, install, run, measure, report."""
    arguments = _arguments()
    cases = [case for case in CASES if not arguments.case or case.name in arguments.case]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-benchmark-")))
        project = render(folder / "project", arguments.database)
        migrate = lambda store: project.run("app", "migrate", env=SETTINGS | store)  # noqa: E731 - one line, used once
        store = stack.enter_context(getattr(stores, arguments.database)(folder, migrate))
        contenders = _contenders(arguments, project, store)
        floors = [contender.name for contender in contenders[1:]]
        _say(
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}, "
            f"{arguments.database}; load by {generator()}, {arguments.connections} connections, "
            f"{arguments.rounds} rounds of {arguments.seconds} s\n"
        )
        log = folder / "start.log"
        starts = {each.name: start_up(each, project, log, arguments.starts) for each in contenders}
        servers = [
            stack.enter_context(serving(each, project, folder / f"{each.name}.log")) for each in contenders
        ]
        for case in cases:
            for server in servers:
                put(server, case, connections=arguments.connections, seconds=1)
        rounds: dict[str, dict[str, list[Result]]] = {case.name: defaultdict(list) for case in cases}
        for number in range(arguments.rounds):
            for case in cases:
                # Each takes its turn at being first.
                for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                    result = put(server, case, connections=arguments.connections, seconds=arguments.seconds)
                    rounds[case.name][server.name].append(result)
        memory = {server.name: server.memory for server in servers}
        _say(report.rates(rounds))
        _say(report.ratios(rounds, PROJECT, floors))
        if arguments.starts:
            _say(report.costs(starts, memory, PROJECT, floors))


if __name__ == "__main__":
    main()
