"""The transactional outbox: events recorded in the transaction that causes them."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, insert
from uuid_utils.compat import uuid7

from keel import clock
from keel.background.jobs import JobContext
from keel.db.database import Session
from keel.kafka.cloudevents import envelope
from keel.kafka.cloudevents.event import Event
from keel.kafka.models import OutboxEvent
from keel.kafka.publishing.shards import shard_of

# Into the table, not the model: an ORM insert costs twice as many calls, and nothing needs the entity.
_INSERT = insert(cast(Table, OutboxEvent.__table__))


class EventTooLarge(ValueError):
    """An event is larger than `KAFKA_MAX_EVENT_SIZE`. Publish ids, and let consumers fetch the rest."""


class Outbox:
    """Records events; the relay publishes them after the commit."""

    def __init__(self, job_context: JobContext, max_event_size: int) -> None:
        self._job_context = job_context
        self._max_event_size = max_event_size

    async def record(self, session: Session, event: Event, *, subject: UUID | str, key: str | None = None) -> UUID:
        """Record an event in a transaction; return its id. It is published if, and only if, the transaction commits.

        Args:
            session: the transaction.
            event: the event.
            subject: id of the aggregate: CloudEvents' `subject`, Debezium's `aggregateid`.
            key: determines the partition; events with the same key are published in order. Default: `subject`.

        Raises:
            EventTooLarge: it exceeds `KAFKA_MAX_EVENT_SIZE`.
        """
        (id_,) = await self.record_all(session, [(subject, event)], key=key)
        return id_

    async def record_all(
        self, session: Session, events: Sequence[tuple[UUID | str, Event]], *, key: str | None = None
    ) -> list[UUID]:
        """Record `(subject, event)` pairs with one statement; see `record`.

        Raises:
            EventTooLarge: one of them exceeds `KAFKA_MAX_EVENT_SIZE`.
        """
        if not events:
            return []
        headers = self._job_context.headers()
        rows = [self._row(event, str(subject), key or str(subject), headers) for subject, event in events]
        await session.execute(_INSERT, rows if len(rows) > 1 else rows[0])
        return [row["id"] for row in rows]

    def _row(self, event: Event, subject: str, key: str, headers: dict[str, str]) -> dict[str, Any]:
        id_, now = uuid7(), clock.now()
        payload = envelope.encode(event, id_, subject=subject, key=key, time=now, headers=headers)
        size = len(payload) + len(key.encode()) + sum(len(name) + len(value) for name, value in headers.items())
        if size > self._max_event_size:
            raise EventTooLarge(f"{event.event_type}: {size} bytes; KAFKA_MAX_EVENT_SIZE is {self._max_event_size}")
        return {
            "id": id_,
            "aggregatetype": event.aggregate_type,
            "aggregateid": subject,
            "type": event.event_type,
            "key": key,
            "payload": payload.decode(),
            "headers": headers,
            "shard": shard_of(key),
            "created_at": now,
        }
