"""The project with widgets, connecting through proxies: `python -m keel.tests.kafka.program kafka relay`."""

import json
import os

from keel.kafka.consuming import runner
from keel.ops import cli
from keel.tests.application import create_app
from keel.tests.kafka.proxies import rerouted
from keel.tests.kafka.support import PatientAssignor

PORTS = "TEST_KAFKA_PORTS"
"""Variable with the proxies' ports by broker port, as JSON."""

if __name__ == "__main__":
    setattr(runner, "RoundRobinPartitionAssignor", PatientAssignor)  # noqa: B010 - replaces the class with a subclass
    # Shorter than in production, because tests wait for it.
    runner.MAX_PAUSE = 0.5
    ports = {int(port): proxy for port, proxy in json.loads(os.environ.get(PORTS, "{}")).items()}
    with rerouted(ports):
        cli.build(create_app, "app")(prog_name="program")
