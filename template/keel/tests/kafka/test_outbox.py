"""Events are rows of the causing transaction, in the format of Debezium's outbox, with a CloudEvent as payload."""

import json
from datetime import datetime
from uuid import UUID, uuid4

import pytest
import structlog
from fastapi import FastAPI

from keel import about
from keel.hooks import PackageError
from keel.kafka.cloudevents.envelope import InvalidEvent, Received, decode
from keel.kafka.cloudevents.event import Event
from keel.kafka.publishing.outbox import EventTooLarge, Outbox
from keel.services import services_of
from keel.tests.kafka.support import record, recorded
from keel.tests.widgets.outbox import WidgetMade


async def test_event_is_a_row_of_its_transaction(app: FastAPI) -> None:
    """With the columns of Debezium's router, in order of recording."""
    subject, other = uuid4(), uuid4()
    outbox = services_of(app).kafka.outbox
    async with services_of(app).database.transaction() as session:
        first = await outbox.record(session, WidgetMade(id=subject, number=1), subject=subject, key="ada")
        second = await outbox.record(session, WidgetMade(id=other, number=2), subject=other)

    rows = await recorded(app)
    assert [row.id for row in rows] == [first, second]
    assert rows[0].position < rows[1].position
    assert (rows[0].aggregatetype, rows[0].aggregateid, rows[0].type) == ("widgets", str(subject), "widgets.made")
    assert [row.key for row in rows] == ["ada", str(other)]
    assert [row.sent_at for row in rows] == [None, None]


async def test_rolled_back_events_are_not_recorded(app: FastAPI) -> None:
    """An exception in the transaction leaves no event."""
    with pytest.raises(RuntimeError):
        async with services_of(app).database.transaction() as session:
            event = WidgetMade(id=uuid4(), number=1)
            await services_of(app).kafka.outbox.record(session, event, subject="one")
            raise RuntimeError
    assert await recorded(app) == []


async def test_payload_is_a_cloud_event(app: FastAPI) -> None:
    """In structured mode, with all required attributes, the schema version and the extensions in use."""
    (id_,) = await record(app, ("ada", 7))
    (row,) = await recorded(app)
    event = json.loads(row.payload)

    assert event["specversion"] == "1.0"
    assert UUID(event["id"]) == id_ == row.id
    assert event["source"] == f"/{about.SLUG}"
    assert event["type"] == "widgets.made"
    assert event["subject"] == row.aggregateid
    assert datetime.fromisoformat(event["time"]) == row.created_at
    assert event["datacontenttype"] == "application/json"
    assert event["dataschema"] == "urn:event:widgets.made:1"
    assert event["partitionkey"] == "ada"
    assert event["data"]["number"] == 7


async def test_request_id_is_propagated(app: FastAPI) -> None:
    """In the headers, as with jobs."""
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        await record(app, ("ada", 1))
    (row,) = await recorded(app)
    assert row.headers["request_id"] == "r-1"


async def test_too_large_event_is_refused(app: FastAPI) -> None:
    """It fails in the request, rather than in the relay, which could never send it."""
    small = Outbox(services_of(app).job_context, max_event_size=100)
    async with services_of(app).database.transaction() as session:
        with pytest.raises(EventTooLarge, match="KAFKA_MAX_EVENT_SIZE"):
            await small.record(session, WidgetMade(id=uuid4(), number=1), subject="one")


def test_event_needs_a_type() -> None:
    """A class without one is refused; the message names it."""
    with pytest.raises(PackageError, match="Nameless: an event needs a class attribute `event_type`"):
        type("Nameless", (Event,), {"__module__": __name__, "aggregate_type": "things"})


def received(app: FastAPI, payload: str) -> Received:
    """Return a message as passed to a handler."""
    return Received(decode(payload.encode()), "widgets", 0, 0, "ada", {})


async def test_handler_reads_recorded_data(app: FastAPI) -> None:
    """As an instance of the event's class; the error for invalid data does not contain values."""
    await record(app, ("ada", 3))
    (row,) = await recorded(app)
    event = received(app, row.payload)
    assert event.is_a(WidgetMade)
    assert event.data_as(WidgetMade).number == 3

    wrong = received(app, row.payload.replace('"number":3', '"number":"secret"'))
    with pytest.raises(InvalidEvent) as caught:
        wrong.data_as(WidgetMade)
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"specversion": "0.3"}', b"\xff\xfe"])
def test_invalid_messages_are_refused(value: bytes | None) -> None:
    """Anything but a CloudEvent in structured mode."""
    with pytest.raises(InvalidEvent):
        decode(value)
