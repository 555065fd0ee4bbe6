"""Function calls and processor time of requests: `uv run --group benchmarks python -m benchmarks.calls --help`.

In one process without a server, so calls are the same on any machine, and processor time knows no other process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import contenders
from benchmarks.contenders import PRESETS
from benchmarks.project import clean_environment
from benchmarks.report import table
from benchmarks.servers import Contender

PROGRAM = Path(__file__).parent / "inside" / "calls.py"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument(
        "--project", action="append", choices=PRESETS, help="this preset; repeatable (default: all)"
    )
    parser.add_argument("--parts", action="store_true", help="whose functions are called, too")
    return parser.parse_args()


def _count(contender: Contender) -> dict[str, Any]:
    command = [contender.python, PROGRAM, contender.target, contender.token]
    env = clean_environment() | contender.env
    output = subprocess.run(
        command, cwd=contender.folder, env=env, check=True, capture_output=True, text=True
    ).stdout
    return json.loads(output)


def main() -> None:
    """Render, install, count, report."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="keel-calls-") as temporary:
        presets = options.project or PRESETS
        with contenders.running(Path(temporary), options.database, presets, [], {}) as compared:
            found = {contender.name: _count(contender) for contender in compared}
    cases = list(next(iter(found.values())))
    for field, title in {"calls": "function calls", "cost": "µs of CPU time"}.items():
        rows = [[name, *(f"{each[case][field]:.0f}" for case in cases)] for name, each in found.items()]
        sys.stdout.write(table([title, *cases], rows) + "\n")
    if options.parts:
        for name, each in found.items():
            for case in cases:
                parts = [[part, str(calls)] for part, calls in each[case]["parts"].items() if calls >= 1]
                sys.stdout.write(table([f"{name}, {case}", "calls"], parts) + "\n")


if __name__ == "__main__":
    main()
