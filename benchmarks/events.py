"""Events/s from outbox to inbox: `uv run --group benchmarks python -m benchmarks.events --help`.

Compared with a bare aiokafka loop, on librdkafka's mock of three brokers in this process. The mock costs less than
real brokers, so the result is mostly the project's own cost.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

from confluent_kafka.admin import AdminClient

from benchmarks import contenders
from benchmarks.project import clean_environment
from benchmarks.report import table

PROGRAM = Path(__file__).parent / "inside" / "events.py"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Render, install, measure, report."""
    options = _arguments()
    mock = AdminClient({"test.mock.num.brokers": 3, "bootstrap.servers": "", "log_level": 0})
    servers = ",".join(
        f"{broker.host}:{broker.port}" for broker in mock.list_topics(timeout=30).brokers.values()
    )
    with (
        tempfile.TemporaryDirectory(prefix="keel-events-") as temporary,
        contenders.running(Path(temporary), options.database, ["everything"], [], {}) as compared,
    ):
        one = compared[0]
        rows = []
        for _ in range(options.rounds):
            env = (
                clean_environment()
                | one.env
                | {
                    "KAFKA_BOOTSTRAP_SERVERS": servers,
                    "KAFKA_TOPIC_PREFIX": f"benchmark-{uuid4().hex}",
                    "PYTHONPATH": str(one.folder),
                }
            )
            output = subprocess.run(
                [one.python, PROGRAM, str(options.events)],
                cwd=one.folder,
                env=env,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            rows.append(json.loads(output.splitlines()[-1]))
    names = list(rows[0])
    sys.stdout.write(
        table(
            ["events/s", *names],
            [[str(number), *(f"{row[name]:.0f}" for name in names)] for number, row in enumerate(rows, 1)],
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
