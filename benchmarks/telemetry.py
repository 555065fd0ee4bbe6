"""What telemetry costs: the same project with nothing to report to, and reporting everything, in one run.

uv run --group benchmarks python -m benchmarks.telemetry
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report, stores
from benchmarks.__main__ import SETTINGS
from benchmarks.load import CASES, Result, generator, put
from benchmarks.project import render
from benchmarks.servers import LOAD_CPU, Contender, pinned, serving, start_up

EXPORTING, SAMPLED, WITHOUT = "exporting", "a tenth sampled", "without"
TENTH = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}


@contextmanager
def _sink() -> Generator[str]:
    """Run a collector on the processor of the load; yield its address."""
    command = pinned(LOAD_CPU, [sys.executable, "-m", "benchmarks.sink"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = next(iter(process.stdout or ()))
        yield f"http://127.0.0.1:{port.strip()}"
        process.terminate()


def main() -> None:
    """Render, install, run, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-benchmark-")))
        project = render(folder / "project", "postgresql", otel=True)
        migrate = lambda store: project.run("app", "migrate", env=SETTINGS | store)  # noqa: E731 - one line, used once
        store = stack.enter_context(stores.postgresql(folder, migrate))
        sink = stack.enter_context(_sink())
        silent = SETTINGS | store | {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        telling = silent | {"OTEL_EXPORTER_OTLP_ENDPOINT": sink}
        contenders = [
            Contender(EXPORTING, project.path, "app.main:app", telling),
            Contender(SAMPLED, project.path, "app.main:app", telling | TENTH),
            Contender(WITHOUT, project.path, "app.main:app", silent),
        ]
        sys.stdout.write(
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}, "
            f"postgresql; load by {generator()}, {arguments.connections} connections, "
            f"{arguments.rounds} rounds of {arguments.seconds} s\n\n"
        )
        starts = {each.name: start_up(each, project, folder / "start.log", 5) for each in contenders}
        servers = [
            stack.enter_context(serving(each, project, folder / f"{each.name}.log")) for each in contenders
        ]
        cases = [case for case in CASES if case.body or case.paths[0].startswith("/api")]
        for case in cases:
            for server in servers:
                put(server, case, connections=arguments.connections, seconds=1)
        rounds: dict[str, dict[str, list[Result]]] = {case.name: defaultdict(list) for case in cases}
        for number in range(arguments.rounds):
            for case in cases:
                for server in servers[number % 3 :] + servers[: number % 3]:
                    result = put(server, case, connections=arguments.connections, seconds=arguments.seconds)
                    rounds[case.name][server.name].append(result)
        memory = {server.name: server.memory for server in servers}
        sys.stdout.write(report.rates(rounds) + "\n")
        for name in (EXPORTING, SAMPLED):
            sys.stdout.write(report.ratios(rounds, name, [WITHOUT]) + "\n")
        sys.stdout.write(report.costs(starts, memory, EXPORTING, [WITHOUT]) + "\n")


if __name__ == "__main__":
    main()
