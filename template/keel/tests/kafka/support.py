"""Helpers for tests of events."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from fastapi import FastAPI
from sqlalchemy import select

from keel.db.database import AnyRow, Database
from keel.kafka.client import connection_options
from keel.kafka.consuming.consumers import Consumer, Handle
from keel.kafka.consuming.inbox import Inbox, IncomingMessage
from keel.kafka.consuming.retries import Retries
from keel.kafka.models import Delivery, OutboxEvent
from keel.kafka.publishing.publisher import Publisher
from keel.kafka.publishing.relay import Relay
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.widgets.consumers import OWNER
from keel.tests.widgets.models import Widget
from keel.tests.widgets.outbox import WidgetMade


async def record(app: FastAPI, *events: tuple[str, int]) -> list[UUID]:
    """Record events, each given as key and number, in one transaction; return their ids."""
    outbox = services_of(app).kafka.outbox
    async with services_of(app).database.transaction() as session:
        return [
            await outbox.record(session, WidgetMade(id=uuid4(), number=number), subject=uuid4(), key=key)
            for key, number in events
        ]


async def recorded(app: FastAPI) -> Sequence[AnyRow]:
    """Return the rows of the outbox, in order."""
    return await services_of(app).database.read.all(select(OutboxEvent.__table__).order_by(OutboxEvent.position))


async def deliveries(app: FastAPI) -> Sequence[AnyRow]:
    """Return pending retries and dead letters, in order."""
    return await services_of(app).database.read.all(select(Delivery.__table__).order_by(Delivery.id))


@asynccontextmanager
async def relay(database: Database, settings: KafkaSettings) -> AsyncGenerator[Relay]:
    """Return a relay with its own connections."""
    publisher = Publisher(settings)
    yield Relay(database, settings, publisher)
    await publisher.close()


async def read_topic(settings: KafkaSettings) -> list[ConsumerRecord[bytes, bytes]]:
    """Return all messages in the topic of widgets, read without a consumer group."""
    found: list[ConsumerRecord[bytes, bytes]] = []
    topic = settings.topic("widgets")
    async with (
        AIOKafkaConsumer(topic, **connection_options(settings), auto_offset_reset="earliest") as client,
        asyncio.timeout(PATIENCE),
    ):
        # To the end of each partition: a count would not do, since duplicates may still arrive in one of them.
        ends = await client.end_offsets(client.assignment())
        while [tp for tp, end in ends.items() if await client.position(tp) < end]:
            for records in (await client.getmany(timeout_ms=100)).values():
                found += records
    return found


def inbox(app: FastAPI, settings: KafkaSettings, handle: Handle | None = None) -> Inbox:
    """Return the inbox of the consumer of widgets, optionally with another handler."""
    services = services_of(app)
    consumer: Consumer = services.kafka.consumers["widgets"]
    if handle is not None:
        consumer = replace(consumer, handle=handle)
    return Inbox(services.database, settings, services.job_context, consumer)


def retries(app: FastAPI, settings: KafkaSettings, of: Inbox) -> Retries:
    """Return the retries of an inbox."""
    return Retries(services_of(app).database, settings, of)


async def messages(app: FastAPI) -> list[IncomingMessage]:
    """Return the contents of the outbox as messages of one partition."""
    return [
        IncomingMessage("widgets", 0, number, row.key.encode(), row.payload.encode(), row.headers)
        for number, row in enumerate(await recorded(app))
    ]


async def handled(app: FastAPI) -> dict[str, list[int]]:
    """Return the numbers stored by the consumer of widgets, by key."""
    rows = await services_of(app).database.read.all(select(Widget.title, Widget.body).where(Widget.owner_id == OWNER))
    return {row.title: [int(number) for number in row.body.split()] for row in rows}


class PatientAssignor(RoundRobinPartitionAssignor):
    """Lets the other members of a group send SyncGroup before the leader assigns partitions.

    librdkafka's mock (2.16) responds with an error to members that send it later; real brokers do not.
    """

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assign the partitions after a delay."""
        time.sleep(0.5)
        return super().assign(cluster, members)


def numbered(keys: Iterable[str], count: int) -> list[tuple[str, int]]:
    """Return events as key and number, alternating between the keys."""
    return [(key, number) for number in range(count) for key in keys]
