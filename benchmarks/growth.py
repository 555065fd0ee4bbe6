"""Cost of requests as tables grow: `uv run --group benchmarks python -m benchmarks.growth --help`.

CPU time and statements per request, in one process without a server, for a caller with many notes among those of
others, and a room with many messages.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import stores
from benchmarks.project import Project, clean_environment, render
from benchmarks.report import table

PROGRAM = Path(__file__).parent / "inside" / "growth.py"
SETTINGS = {
    "ENVIRONMENT": "local",
    "ALLOWED_HOSTS": "*",
    "RATE_LIMIT": "",
    "LOG_LEVEL": "ERROR",
    "ENV_FILE": "",
}
"""Work that does not depend on the number of rows is turned off."""

Found = dict[str, dict[int, dict[str, float]]]
"""By case and number of rows: microseconds in the application and in the database, and statements."""


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument(
        "--database", nargs="+", choices=["postgresql", "sqlite"], default=["sqlite", "postgresql"]
    )
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[10_000, 100_000],
        help="ascending; at least a few thousand each",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Render, install, fill, measure, report."""
    options = _arguments(arguments)
    today = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    for database in options.database:
        with tempfile.TemporaryDirectory(prefix="keel-growth-") as folder:
            project = render(Path(folder, "project"), database, websockets=True)
            found = _measure(Path(folder), project, database, options.rows)
        sys.stdout.write(f"{today}, {database}\n\n{_report(found, options.rows)}\n")


def _measure(folder: Path, project: Project, database: str, rows: list[int]) -> Found:
    with ExitStack() as stack:
        make = stack.enter_context(getattr(stores, database)(folder))
        store = stack.enter_context(
            make("growth", lambda store: project.run("app", "migrate", env=SETTINGS | store))
        )
        env = clean_environment() | SETTINGS | store | {"PYTHONPATH": str(project.path)}
        command = [project.python, PROGRAM, *map(str, rows)]
        output = subprocess.run(
            command, cwd=project.path, env=env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    found: Found = {}
    for line in map(json.loads, output.splitlines()):
        found.setdefault(line["case"], {})[line["rows"]] = line
    return found


def _report(found: Found, rows: list[int]) -> str:
    least = rows[0]
    head = ["request", "statements", f"µs at {least:,}", *(f"at {size:,}" for size in rows[1:])]
    lines = []
    for case, by_rows in found.items():
        first = by_rows[least]
        ratios = [f"{_total(by_rows[size]) / _total(first):.2f}" for size in rows[1:]]
        statements = "/".join(sorted({f"{each['statements']:.0f}" for each in by_rows.values()}))
        lines.append([case, statements, f"{_total(first):.0f}", *ratios])
    return table(head, lines)


def _total(line: dict[str, float]) -> float:
    return line["application"] + line["database"]


if __name__ == "__main__":
    main()
