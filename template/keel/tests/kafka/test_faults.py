"""Relays and consumers are killed and cut off under load: every event takes effect once, in order per key."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from keel.kafka.models import InboxEvent
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.tests.kafka.program import PORTS
from keel.tests.kafka.proxies import Proxies
from keel.tests.kafka.support import deliveries, handled, read_topic, record, recorded
from keel.tests.kafka.test_relay import by_key

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[3]
PATIENCE = 300
KEYS = [f"key-{number}" for number in range(20)]


class Process:
    """A role in its own process."""

    def __init__(self, role: str, environment: dict[str, str], folder: Path) -> None:
        self._role = role
        self._environment = {**os.environ, **environment, "TMPDIR": str(folder)}
        self._log = folder / f"{role}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "keel.tests.kafka.program", "kafka", self._role],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        return self

    def kill(self) -> None:
        """Send SIGKILL, like a crash."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM, like a deployment; return the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, PATIENCE)

    @property
    def output(self) -> str:
        """Its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def environment_of_processes(kafka_settings: KafkaSettings, proxies: Proxies) -> dict[str, str]:
    """Return the variables of relays and consumers."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka_settings.bootstrap_servers),
        "KAFKA_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "KAFKA_RELAY_LEASE": "3",
        "KAFKA_RELAY_BATCH": "40",
        "KAFKA_TIMEOUT": "5",
        "KAFKA_SESSION_TIMEOUT": "5",
        PORTS: json.dumps(proxies.ports),
    }


@pytest.fixture
def processes(environment_of_processes: dict[str, str], tmp_path: Path) -> Iterator[dict[str, Process]]:
    """Start two relays and two consumers."""
    found = {}
    for name in ("relay-1", "relay-2", "consume-1", "consume-2"):
        folder = tmp_path / name
        folder.mkdir()
        found[name] = Process(name.partition("-")[0], environment_of_processes, folder).start()
    yield found
    for process in found.values():
        process.kill()


async def until_handled(app: FastAPI, count: int) -> None:
    """Wait until the consumer has handled `count` events of each key."""
    async with asyncio.timeout(PATIENCE):
        while {key: len(numbers) for key, numbers in (await handled(app)).items()} != dict.fromkeys(KEYS, count):
            await asyncio.sleep(0.1)


async def test_kills_and_cuts_under_load(
    app: FastAPI, kafka_settings: KafkaSettings, proxies: Proxies, processes: dict[str, Process]
) -> None:
    """Each of two relays and two consumers is killed once, and all connections to the brokers are cut twice."""
    await record(app, *((key, 0) for key in KEYS))
    await until_handled(app, 1)
    number = 1
    for blow in ("relay-1", "consume-1", "cut", "relay-2", "consume-2", "cut"):
        for part in range(8):
            await record(app, *((key, number) for key in KEYS))
            number += 1
            if part != 3:
                continue
            if blow == "cut":
                await proxies.cut()
            else:
                processes[blow].kill()
        if blow == "cut":
            await proxies.open()
        else:
            processes[blow].start()
        # The load continues while the others take over; require only that some of it gets through.
        async with asyncio.timeout(PATIENCE):
            while sum(map(len, (await handled(app)).values())) < (number - 8) * len(KEYS):
                await asyncio.sleep(0.1)
    await until_handled(app, number)

    expected = {key: list(range(number)) for key in KEYS}
    assert await handled(app) == expected
    rows = await recorded(app)
    assert len(rows) == number * len(KEYS)
    assert all(row.sent_at for row in rows)
    assert await deliveries(app) == []
    assert await services_of(app).database.read.scalar(select(func.count()).select_from(InboxEvent)) == len(rows)
    records = await read_topic(kafka_settings)
    assert by_key(records) == expected

    # SIGTERM ends them gracefully.
    assert [await process.stop() for process in processes.values()] == [0, 0, 0, 0]
