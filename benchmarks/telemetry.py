"""Cost of telemetry: `otel` without a collector, and with all traces or one in ten exported.

uv run --group benchmarks python -m benchmarks.telemetry
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import report, run, settings, sink, stores
from benchmarks.preparation import with_database
from benchmarks.project import render
from benchmarks.routes import CASES
from benchmarks.servers import Contender

EXPORTING, SAMPLED, WITHOUT = "exporting", "one in ten sampled", "without"


def main() -> None:
    """Render, install, run, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    run.add_options(parser)
    arguments = parser.parse_args()
    if arguments.workers != [1]:
        parser.error("this is measured with one worker")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-benchmark-")))
        project = render(folder / "project", "postgresql", otel=True)
        env = settings.SETTINGS | settings.exporting("")
        silent = Contender(WITHOUT, project.python, project.path, "app.main:app", env)
        make = stack.enter_context(stores.postgresql(folder))
        silent = stack.enter_context(with_database(silent, make, folder / "preparation.log", project))
        telling = silent.env | settings.exporting(stack.enter_context(sink.running()))
        contenders = [
            replace(silent, name=EXPORTING, env=telling | settings.EVERY_TRACE),
            replace(silent, name=SAMPLED, env=telling),
            silent,
        ]
        cases = [case for case in CASES if case != "health"]
        found = run.measure(contenders, cases, arguments, folder)[1]
    tables = (report.ratios(found, WITHOUT), report.rates(found), report.costs(found, WITHOUT))
    sys.stdout.write("\n".join((run.describe("postgresql", arguments) + "\n", *tables)))


if __name__ == "__main__":
    main()
