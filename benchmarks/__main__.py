"""Rendered projects, compared with floors and peers: `uv run --group benchmarks python -m benchmarks --help`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import contenders, exports, profile, report, run, streams
from benchmarks.contenders import ACCOUNTS, PRESETS, RAW, SAMPLED, TEXTBOOK
from benchmarks.peers import PEERS
from benchmarks.routes import CASES
from benchmarks.servers import Contender


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument(
        "--project",
        action="append",
        choices=PRESETS,
        help="preset to measure; repeatable (default: api and everything)",
    )
    parser.add_argument(
        "--accounts",
        action="store_true",
        help="add a textbook floor that also reads accounts and counts lists",
    )
    parser.add_argument("--raw", action="store_true", help="add the raw floor, which needs PostgreSQL")
    parser.add_argument("--case", action="append", choices=CASES, help="measure only this case; repeatable")
    parser.add_argument(
        "--peer",
        action="append",
        choices=PEERS,
        default=[],
        help="add a project of this generator, which needs PostgreSQL and Redis; repeatable",
    )
    parser.add_argument("--peer-python", default="", help="version or path of the peers' interpreter")
    parser.add_argument(
        "--textbook-pool", help="connection pool of the textbook floor: SIZE+OVERFLOW (default: 5+10)"
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="CONTENDER",
        help='profile the CPU time of a contender, such as "everything, one in ten sampled"; repeatable; needs '
        "permission to trace processes",
    )
    parser.add_argument(
        "--readers",
        type=int,
        default=0,
        help="also measure server-sent events to this many readers, with every feature",
    )
    parser.add_argument(
        "--export", type=int, default=0, help="also measure an export of this many notes, with every feature"
    )
    run.add_options(parser)
    arguments = parser.parse_args()
    if (arguments.raw or arguments.peer) and arguments.database != "postgresql":
        parser.error("the raw floor and peers need PostgreSQL")
    if (arguments.readers or arguments.export) and (
        arguments.database != "postgresql" or "everything" not in (arguments.project or ["everything"])
    ):
        parser.error("readers and exports are measured of everything on PostgreSQL")
    if arguments.peer and not os.environ.get("TEST_DATABASE_URL"):
        parser.error("peers connect by host and port: name a server in TEST_DATABASE_URL")
    return arguments


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Render, install, run, measure, report."""
    arguments = _arguments()
    cases = [case for case in CASES if not arguments.case or case in arguments.case]
    presets = arguments.project or ["api", "everything"]
    floors = [TEXTBOOK, *([ACCOUNTS] if arguments.accounts else []), *([RAW] if arguments.raw else [])]
    pool = dict(zip(("POOL_SIZE", "MAX_OVERFLOW"), (arguments.textbook_pool or "").split("+"), strict=False))
    pool = {name: value for name, value in pool.items() if value}
    with tempfile.TemporaryDirectory(prefix="keel-benchmark-") as temporary:
        folder = Path(temporary)
        chosen = (arguments.database, presets, floors, pool, arguments.peer, arguments.peer_python)
        with contenders.running(folder, *chosen) as compared:
            found = run.measure(compared, cases, arguments, folder)
            profiles = {
                each.name: profile.take(each, cases, arguments, folder)
                for each in compared
                if each.name in arguments.profile
            }
            more = [*_more(compared, arguments, folder)]
    _say(run.describe(arguments.database, arguments) + "\n")
    one, *_ = found.values()
    for workers, those in found.items():
        _say(f"#### Workers: {workers}, relative to the {TEXTBOOK}\n")
        _say(report.summary(those, TEXTBOOK))
        if those is not one:
            _say(f"Requests/s of {workers} workers relative to {arguments.workers[0]}:\n")
            _say(report.scaling(one, those))
    if profiles:
        _say("#### CPU time of a request, by part\n")
    for name, shares in profiles.items():
        _say(report.parts(one, name, shares))
    for each in more:
        _say(each)
    for workers, those in found.items():
        _say(f"#### Workers: {workers}, as measured\n")
        _say(report.rates(those))


def _more(compared: Sequence[Contender], arguments: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Return the tables of other measurements; a failure does not affect the others."""
    everything = next((each for each in compared if each.name == f"everything, {SAMPLED}"), None)
    if everything and arguments.readers:
        yield "#### Live changes, with every feature\n"
        try:
            yield streams.measure(everything, arguments.readers, arguments, folder)
        except RuntimeError as error:
            yield f"Failed: {error}\n"
    if everything and arguments.export:
        yield "#### Exports, with every feature\n"
        try:
            yield exports.measure(everything, arguments.export, folder)
        except RuntimeError as error:
            yield f"Failed: {error}\n"


if __name__ == "__main__":
    main()
