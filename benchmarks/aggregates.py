"""Statistics, computed in several ways: `uv run --group benchmarks python -m benchmarks.aggregates --help`.

In turn, in one process without a server: the endpoints of `analytics`, Python on the list, handwritten SQL.
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
from statistics import median

from benchmarks import stores
from benchmarks.growth import SETTINGS
from benchmarks.project import Project, clean_environment, render
from benchmarks.report import table

PROGRAM = Path(__file__).parent / "inside" / "aggregates.py"


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aggregates", description=__doc__)
    parser.add_argument(
        "--database", nargs="+", choices=["postgresql", "sqlite"], default=["sqlite", "postgresql"]
    )
    parser.add_argument("--notes", type=int, default=10_000, help="of the caller, among ten times as many")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Render, install, fill, measure, report."""
    options = _arguments(arguments)
    rows = []
    for database in options.database:
        with tempfile.TemporaryDirectory(prefix="keel-aggregates-") as folder:
            project = render(Path(folder, "project"), database, analytics=True)
            seconds = _measure(Path(folder), project, database, options)
        hand = seconds["by hand"]
        for way, each in seconds.items():
            ratios = sorted(one / other for one, other in zip(each, hand, strict=True))
            spread = f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            rows.append([database, way, f"{median(each) * 1000:.1f}", spread])
    today = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    sys.stdout.write(f"{today}, {options.notes} notes of {10 * options.notes}, {options.rounds} rounds\n\n")
    sys.stdout.write(table(["database", "way", "ms", "relative to handwritten SQL"], rows) + "\n")


def _measure(
    folder: Path, project: Project, database: str, options: argparse.Namespace
) -> dict[str, list[float]]:
    with ExitStack() as stack:
        make = stack.enter_context(getattr(stores, database)(folder))
        store = stack.enter_context(
            make("aggregates", lambda store: project.run("app", "migrate", env=SETTINGS | store))
        )
        env = clean_environment() | SETTINGS | store | {"PYTHONPATH": str(project.path)}
        command = [project.python, PROGRAM, str(options.notes), str(options.rounds)]
        output = subprocess.run(
            command, cwd=project.path, env=env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    return dict(json.loads(output.splitlines()[-1]))


if __name__ == "__main__":
    main()
