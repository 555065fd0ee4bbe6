"""The relay: publishes the outbox, at least once, in order per key."""

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress

import structlog
from sqlalchemy import bindparam, select, tuple_, update

from keel import clock
from keel.background.shutdown import Shutdown
from keel.db.database import AnyRow, Database
from keel.kafka import heartbeat
from keel.kafka.cloudevents.envelope import CONTENT_TYPE
from keel.kafka.models import OutboxEvent
from keel.kafka.publishing import shards
from keel.kafka.publishing.batches import Outcome, OutgoingMessage
from keel.kafka.publishing.held_back import HeldBack
from keel.kafka.publishing.publisher import Publisher
from keel.kafka.settings import KafkaSettings
from keel.observability.tracing import meter
from keel.web.errors import Unavailable

MAX_PAUSE = 5.0
"""Maximum seconds between attempts while brokers or database do not answer."""

WAITING_SECONDS = 1.0
"""Delay before a retry of an event whose partition or topic was unavailable."""

REFUSED_SECONDS = 60.0
"""Delay before a retry of an event that brokers refused: their limits may have been raised."""

_UNSENT = (
    select(
        OutboxEvent.position,
        OutboxEvent.id,
        OutboxEvent.type,
        OutboxEvent.aggregatetype,
        OutboxEvent.key,
        OutboxEvent.payload,
        OutboxEvent.headers,
        OutboxEvent.created_at,
    )
    .where(
        OutboxEvent.shard.in_(bindparam("shards", expanding=True)),
        OutboxEvent.sent_at.is_(None),
        tuple_(OutboxEvent.aggregatetype, OutboxEvent.key).not_in(bindparam("held_back", expanding=True)),
    )
    .order_by(OutboxEvent.position)
)
_SENT = meter.create_counter(
    "messaging.client.sent.messages", unit="{message}", description="Events confirmed by the brokers"
)

log = structlog.get_logger()


class Relay:
    """Publishes committed events and marks those confirmed by the brokers. Several relays may run."""

    def __init__(self, database: Database, settings: KafkaSettings, publisher: Publisher) -> None:
        self._database = database
        self._settings = settings
        self._publisher = publisher
        self._held_back = HeldBack()
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    async def run(self, shutdown: Shutdown) -> None:
        """Publish until shutdown, then finish the current batch."""
        failures = 0
        while not shutdown.begun:
            heartbeat.touch()
            try:
                claimed, sent = await self.run_once()
            except Unavailable as error:
                await log.awarning("relay_waits", error=repr(error))
                claimed, sent = 1, 0
            failures = failures + 1 if sent < claimed else 0
            if failures or not claimed:
                pause = min(self._settings.relay_poll * 2 ** min(failures, 10), MAX_PAUSE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await shutdown.wait()
        await self._publisher.close()

    async def run_once(self) -> tuple[int, int]:
        """Publish a batch; return the number of events read, and of events confirmed by the brokers.

        Raises:
            Unavailable: the database does not answer.
        """
        await shards.create(self._database)
        claimed = await shards.claim(self._database, self._holder, self._settings.relay_lease)
        if not claimed:
            return 0, 0
        outcome = Outcome()
        try:
            statement = _UNSENT.limit(self._settings.relay_batch)
            rows = await self._database.read.all(
                statement, {"shards": list(claimed), "held_back": self._held_back.pairs()}
            )
            # Less than the lease: after that, another relay may publish the same events.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.relay_lease * 0.8):
                    await self._publisher.publish([self._message(row) for row in rows], outcome)
            await self._hold_back(rows, outcome)
        finally:
            await self._finish(claimed, outcome.sent)
        return len(rows), len(outcome.sent)

    async def _hold_back(self, rows: Sequence[AnyRow], outcome: Outcome) -> None:
        """Skip the keys of events that cannot be sent now, to keep their order without blocking other keys."""
        waiting = set(outcome.waiting)
        for row in rows:
            if error := outcome.refused.get(row.position):
                self._held_back.add((row.aggregatetype, row.key), REFUSED_SECONDS)
                await log.aerror("event_refused", id=str(row.id), type=row.type, key=row.key, error=repr(error))
            elif row.position in waiting:
                self._held_back.add((row.aggregatetype, row.key), WAITING_SECONDS)

    async def _finish(self, claimed: Sequence[int], sent: Sequence[int]) -> None:
        """Mark events as sent, and release the shards."""
        async with self._database.transaction() as session:
            if sent:
                statement = update(OutboxEvent).where(OutboxEvent.position.in_(sent))
                await session.execute(statement.values(sent_at=clock.now()))
            await shards.release(session, self._holder, claimed)
        _SENT.add(len(sent), {"messaging.system": "kafka", "messaging.operation.name": "send"})

    def _message(self, row: AnyRow) -> OutgoingMessage:
        headers = [(name, value.encode()) for name, value in row.headers.items()]
        return OutgoingMessage(
            row.position,
            self._settings.topic(row.aggregatetype),
            row.key.encode(),
            row.payload.encode(),
            [("content-type", CONTENT_TYPE.encode()), *headers],
            int(row.created_at.timestamp() * 1000),
        )
