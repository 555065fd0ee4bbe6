"""`python -m app kafka`: commands for operators."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateTopicsResponse_v1
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from keel.kafka import heartbeat, topics
from keel.kafka.cloudevents import compatibility
from keel.kafka.cloudevents.compatibility import file_of
from keel.kafka.consuming.inbox import IncomingMessage
from keel.kafka.settings import KafkaSettings
from keel.ops import cli
from keel.services import services_of
from keel.tests.application import create_app
from keel.tests.kafka.support import deliveries, inbox, record, relay

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(environment: None) -> Invoke:
    """Return a function that runs `python -m app kafka`."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.build(create_app, "app"), ["kafka", *arguments])

    return run


@pytest.fixture
async def dead_letter(app: FastAPI, kafka_settings: KafkaSettings) -> str:
    """Store a dead letter; return its number."""
    await inbox(app, kafka_settings).handle_all([IncomingMessage("widgets", 2, 7, b"ada", b"not JSON", {"a": "b"})])
    (row,) = await deliveries(app)
    return str(row.id)


async def in_thread(invoke: Invoke, *arguments: str) -> Result:
    """Run a command in a thread, since it runs its own event loop."""
    return await asyncio.to_thread(invoke, *arguments)


async def test_dead_letters(app: FastAPI, invoke: Invoke, dead_letter: str) -> None:
    """Dead letters are listed, shown, queued again and deleted."""
    listed = await in_thread(invoke, "dead", "list")
    assert listed.exit_code == 0, listed.output
    assert "widgets" in listed.output
    assert "2:7" in listed.output

    shown = await in_thread(invoke, "dead", "show", dead_letter)
    assert "a: b" in shown.output
    assert "not JSON" in shown.output
    assert (await in_thread(invoke, "dead", "show", "0")).exit_code == 2

    assert (await in_thread(invoke, "dead", "replay")).exit_code == 2
    assert "queued: 1" in (await in_thread(invoke, "dead", "replay", "--all")).output
    (row,) = await deliveries(app)
    assert row.due_at is not None
    assert "queued: 0" in (await in_thread(invoke, "dead", "replay", dead_letter)).output
    assert "deleted: 0" in (await in_thread(invoke, "dead", "discard", dead_letter)).output


def test_roles_need_a_broker(invoke: Invoke) -> None:
    """Without a broker they exit with an error that names the variable."""
    for arguments in (["relay"], ["consume"], ["topics"], ["rebuild", "widgets"]):
        outcome = invoke(*arguments)
        assert outcome.exit_code == 2
        assert "KAFKA_BOOTSTRAP_SERVERS" in outcome.output


def test_alive(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`alive` succeeds only if the last heartbeat is recent enough."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert invoke("alive").exit_code == 1
    heartbeat.touch()
    assert invoke("alive").exit_code == 0
    (file,) = tmp_path.iterdir()
    long_ago = time.time() - 150
    os.utime(file, (long_ago, long_ago))
    assert invoke("alive").exit_code == 1
    # The limit grows with the handler's timeout.
    monkeypatch.setenv("KAFKA_HANDLER_TIMEOUT", "90")
    assert invoke("alive").exit_code == 0


def test_schemas(app: FastAPI, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`schemas` compares with the published schemas, and `--write` stores compatible changes only."""
    assert invoke("schemas").exit_code == 0
    path = tmp_path / "outbox.json"
    monkeypatch.setattr(compatibility, "file_of", lambda package: path if "widgets" in package else file_of(package))
    assert "store them with --write" in invoke("schemas").output
    assert "Written" in invoke("schemas", "--write").output
    assert compatibility.read(path) == compatibility.read(file_of("keel.tests.widgets"))

    compatibility.write(path, {"urn:event:widgets.lost:1": {}})
    broken = invoke("schemas", "--write")
    assert broken.exit_code == 1
    assert "urn:event:widgets.lost:1 was removed" in broken.output
    assert compatibility.read(path) == {"urn:event:widgets.lost:1": {}}


async def test_existing_topics_are_unchanged(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """This includes topics that brokers created automatically."""
    await record(app, ("ada", 1))
    async with relay(services_of(app).database, kafka_settings) as one:
        await one.run_once()
    assert await topics.create(kafka_settings, [kafka_settings.topic("widgets")]) == []


@pytest.mark.parametrize("code", [0, TopicAlreadyExistsError.errno, TopicAuthorizationFailedError.errno])
async def test_topics_are_created(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """With the settings' partitions and replicas. The mock cannot create topics, so responses (KIP-4) are simulated."""
    asked = []

    async def create_topics(_: AIOKafkaAdminClient, new: list[NewTopic]) -> CreateTopicsResponse_v1:
        asked.extend(new)
        return CreateTopicsResponse_v1(topic_errors=[(new[0].name, code, None)])

    monkeypatch.setattr(AIOKafkaAdminClient, "create_topics", create_topics)
    three = kafka_settings.model_copy(update={"replication_factor": 3, "partitions": 12})
    name = three.topic("new")
    if code == TopicAuthorizationFailedError.errno:
        with pytest.raises(TopicAuthorizationFailedError):
            await topics.create(three, [name])
    else:
        assert await topics.create(three, [name]) == [name]
    (topic,) = asked
    assert (topic.name, topic.num_partitions, topic.replication_factor) == (name, 12, 3)
    assert topic.topic_configs == {"retention.ms": "2592000000", "min.insync.replicas": "2"}
