"""Each event takes effect once, in the order of its key; a failed event waits for a retry and blocks only its key."""

import asyncio
import os
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import update

from keel import clock
from keel.db.database import Session
from keel.kafka import heartbeat
from keel.kafka.cloudevents.envelope import Received
from keel.kafka.consuming import dead_letters
from keel.kafka.consuming.inbox import IncomingMessage
from keel.kafka.models import Delivery
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.tests.kafka.support import deliveries, handled, inbox, messages, numbered, record, retries
from keel.tests.widgets.consumers import note_down
from keel.tests.widgets.outbox import WidgetMade
from keel.web.errors import Unavailable


class Flaky:
    """A handler that fails for some events a given number of times, after changing data in the transaction."""

    def __init__(self, failures: dict[tuple[str, int], int]) -> None:
        self.failures = failures
        self.calls: list[tuple[str, int]] = []

    async def __call__(self, session: Session, event: Received) -> None:
        """Handle the event, then possibly fail."""
        await note_down(session, event)
        mark = (event.key or "", event.data_as(WidgetMade).number)
        self.calls.append(mark)
        if self.failures.get(mark, 0):
            self.failures[mark] -= 1
            raise RuntimeError(f"no {mark}")


async def test_duplicates_are_skipped(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """In the same batch, in a later one, or in another process at the same time."""
    await record(app, *numbered("ab", 3))
    all_ = await messages(app)
    one, other = inbox(app, kafka_settings), inbox(app, kafka_settings)
    await one.handle_all([*all_[:3], *all_[:3]])
    await asyncio.gather(one.handle_all(all_), other.handle_all(all_))
    assert await handled(app) == {"a": [0, 1, 2], "b": [0, 1, 2]}
    assert await deliveries(app) == []


async def test_heartbeat_during_slow_batch(
    app: FastAPI, kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event is a heartbeat, because a whole batch may take longer than the limit."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    alive = []

    def age() -> None:
        for file in tmp_path.iterdir():
            os.utime(file, (0, 0))

    async def take_long(_: Session, __: Received) -> None:
        alive.append(heartbeat.is_alive(60))
        age()

    await record(app, *numbered("ab", 2))
    await inbox(app, kafka_settings, take_long).handle_all(await messages(app))
    assert alive == [True] * 4
    assert not heartbeat.is_alive(60)


async def test_failed_event_is_rolled_back_and_blocks_only_its_key(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Later events of its key wait behind it; other keys continue."""
    await record(app, *numbered("ab", 3))
    flaky = Flaky({("a", 1): 2})
    one = inbox(app, kafka_settings, flaky)
    await one.handle_all(await messages(app))

    assert await handled(app) == {"a": [0], "b": [0, 1, 2]}
    first, second = await deliveries(app)
    assert (first.attempts, "no ('a', 1)" in first.error) == (1, True)
    assert (second.attempts, second.error) == (0, "")
    assert await one.count_waiting() == 2


async def test_waiting_events_are_handled_in_order(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """After a successful retry of the first one; new events of the key queue up behind them."""
    await record(app, *numbered("a", 3))
    # Fails in the batch, then alone, then in one retry.
    one = inbox(app, kafka_settings, Flaky({("a", 0): 3}))
    again = retries(app, kafka_settings, one)
    await one.handle_all(await messages(app))
    assert await again.run_once()
    await record(app, ("a", 3))
    await one.handle_all((await messages(app))[3:])
    assert await handled(app) == {}

    while await again.run_once():
        pass
    assert await handled(app) == {"a": [0, 1, 2, 3]}
    assert await deliveries(app) == []


async def test_processes_share_retries(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Each retry is made by one of two processes, and keys stay in order."""
    keys = [f"key-{number}" for number in range(6)]
    await record(app, *numbered(keys, 4))
    flaky = Flaky({(key, 0): 2 for key in keys})
    one = inbox(app, kafka_settings, flaky)
    await one.handle_all(await messages(app))
    assert await handled(app) == {}

    async def until_done() -> None:
        again = retries(app, kafka_settings, one)
        while await deliveries(app):
            await again.run_once()

    await asyncio.gather(until_done(), until_done())
    assert await handled(app) == {key: [0, 1, 2, 3] for key in keys}


async def test_permanently_failing_event_becomes_dead_letter(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """After `KAFKA_MAX_ATTEMPTS`; events behind it continue, and an operator can replay it."""
    await record(app, *numbered("a", 2))
    flaky = Flaky({("a", 0): 6})
    one = inbox(app, kafka_settings, flaky)
    again = retries(app, kafka_settings, one)
    await one.handle_all(await messages(app))
    while await again.run_once():
        pass

    (dead,) = await deliveries(app)
    assert (dead.attempts, dead.due_at) == (kafka_settings.max_attempts, None)
    assert "no ('a', 0)" in dead.error
    assert await handled(app) == {"a": [1]}
    # The additional call was with the whole batch.
    assert flaky.calls.count(("a", 0)) == kafka_settings.max_attempts + 1

    database = services_of(app).database
    assert [row.id for row in await dead_letters.oldest(database.read, 10)] == [dead.id]
    assert (await dead_letters.get(database.read, dead.id)) == dead
    async with database.transaction() as session:
        assert await dead_letters.replay(session, dead.id) == 1
    assert await again.run_once()
    assert await handled(app) == {"a": [1, 0]}
    assert await deliveries(app) == []


@pytest.mark.parametrize(
    "value", [b"no event", b'{"specversion": "1.0", "id": "1", "source": "/", "type": "widgets.made"}']
)
async def test_invalid_message_becomes_dead_letter_at_once(
    app: FastAPI, kafka_settings: KafkaSettings, value: bytes
) -> None:
    """A message that is not an event, or has invalid data, is not retried and blocks nothing."""
    await record(app, ("a", 0))
    (good,) = await messages(app)
    wrong = IncomingMessage("widgets", 0, 99, b"a", value, {})
    await inbox(app, kafka_settings).handle_all([wrong, good, wrong])

    (dead,) = await deliveries(app)
    assert (dead.due_at, dead.value) == (None, value)
    assert "InvalidEvent" in dead.error
    assert await handled(app) == {"a": [0]}

    async with services_of(app).database.transaction() as session:
        assert await dead_letters.discard(session, dead.id) == 1
    assert await deliveries(app) == []


async def test_tombstones_are_ignored(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Messages without a value, as in compacted topics, are neither handled nor stored."""
    await inbox(app, kafka_settings).handle_all([IncomingMessage("widgets", 0, 0, b"a", None, {})])
    assert await deliveries(app) == []


async def test_slow_handler_times_out(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """After `KAFKA_HANDLER_TIMEOUT`, while other keys continue."""
    await record(app, *numbered("ab", 1))

    async def handle(session: Session, event: Received) -> None:
        if event.key == "a":
            await asyncio.Event().wait()
        await note_down(session, event)

    hasty = kafka_settings.model_copy(update={"handler_timeout": 0.05})
    await inbox(app, hasty, handle).handle_all(await messages(app))
    assert await handled(app) == {"b": [0]}
    (waiting,) = await deliveries(app)
    assert "HandlerTooSlow" in waiting.error


async def test_exponential_backoff(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """The delay doubles up to a maximum, and no attempt is made before it is over."""
    patient = kafka_settings.model_copy(update={"retry_backoff": 100.0, "retry_backoff_max": 300.0})
    one = inbox(app, patient, Flaky({("a", 0): 9}))
    again = retries(app, patient, one)
    await record(app, ("a", 0))
    await one.handle_all(await messages(app))
    pauses = []
    for _ in range(3):
        (row,) = await deliveries(app)
        pauses.append((row.due_at - clock.now()).total_seconds())
        assert not await again.run_once()
        async with services_of(app).database.transaction() as session:
            await session.execute(update(Delivery).values(due_at=clock.now()))
        assert await again.run_once()
    assert [round(pause, -2) for pause in pauses] == [100, 200, 300]


async def test_unavailable_database_loses_nothing(
    app: FastAPI, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are recorded neither as handled nor as failed, so the batch can be delivered again."""
    await record(app, ("a", 0))
    all_ = await messages(app)
    one = inbox(app, kafka_settings)

    def away() -> None:
        raise Unavailable("The database does not answer.")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(services_of(app).database, "transaction", away)
        await one.handle_all(all_)
    assert await deliveries(app) == []
    await one.handle_all(all_)
    assert await handled(app) == {"a": [0]}


async def test_request_context_is_restored(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """The handler runs with the request id with which the event was recorded."""
    seen = []

    async def handle(_: Session, __: Received) -> None:
        seen.append(structlog.contextvars.get_contextvars().get("request_id"))

    with structlog.contextvars.bound_contextvars(request_id="r-7"):
        await record(app, ("a", 0))
    await inbox(app, kafka_settings, handle).handle_all(await messages(app))
    assert seen == ["r-7"]
