"""What runs in the project's environment, which has the clients: `cluster`, `consume` or `read SERVERS TOPIC`."""

import asyncio
import json
import signal
import sys


def cluster() -> None:
    """Run librdkafka's mock of three brokers, and say where they are."""
    from confluent_kafka.admin import AdminClient

    mock = AdminClient({"test.mock.num.brokers": 3, "bootstrap.servers": "", "log_level": 0})
    brokers = mock.list_topics(timeout=30).brokers.values()
    print("brokers", ",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    signal.pause()


def consume() -> None:
    """Run the role, with the patience that the mock needs of the leader of a group."""
    from app.main import create_app
    from keel.kafka.consuming import runner
    from keel.ops import cli
    from keel.tests.kafka.support import PatientAssignor

    setattr(runner, "RoundRobinPartitionAssignor", PatientAssignor)  # noqa: B010 - a subclass in the place of the class
    cli.build(create_app, "app")(["kafka", "consume"], prog_name="program")


async def read(servers: str, topic: str) -> None:
    """Print the id and the subject of every event, those of a partition in order."""
    from aiokafka import AIOKafkaConsumer

    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as client:
        left = sum((await client.end_offsets(client.assignment())).values())
        while left > 0:
            for records in (await client.getmany(timeout_ms=1000)).values():
                left -= len(records)
                for record in records:
                    event = json.loads(record.value)
                    print(json.dumps([event["id"], event["subject"]]))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "read":
        asyncio.run(read(*arguments))
    else:
        {"cluster": cluster, "consume": consume}[command]()
