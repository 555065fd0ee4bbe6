"""The outbox: events recorded in the transaction of what they tell of."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from uuid_utils.compat import uuid7

from keel import clock
from keel.background.jobs import JobContext
from keel.db.database import Session
from keel.kafka.cloudevents import envelope
from keel.kafka.cloudevents.event import Event
from keel.kafka.models import OutboxEvent
from keel.kafka.publishing.shards import shard_of


class EventTooLarge(ValueError):
    """An event is larger than `KAFKA_MAX_EVENT_SIZE`: send what consumers need to find the rest."""


class Outbox:
    """Records events; the relay publishes them once they are committed."""

    def __init__(self, job_context: JobContext, max_event_size: int) -> None:
        self._job_context = job_context
        self._max_event_size = max_event_size

    async def record(self, session: Session, event: Event, *, subject: UUID | str, key: str | None = None) -> UUID:
        """Record an event in a transaction; return its id. It is published after the commit, and never after a rollback.

        Args:
            session: the transaction.
            event: what has happened.
            subject: the id of what it has happened to: CloudEvents' `subject`, Debezium's `aggregateid`.
            key: what decides on the partition; events of one key are published in order. Default: `subject`.

        Raises:
            EventTooLarge: it is larger than a message may be.
        """
        (id_,) = await self.record_all(session, [(subject, event)], key=key)
        return id_

    async def record_all(
        self, session: Session, events: Sequence[tuple[UUID | str, Event]], *, key: str | None = None
    ) -> list[UUID]:
        """Record events, each with its subject, by one statement; see `record`.

        Raises:
            EventTooLarge: one is larger than a message may be.
        """
        if not events:
            return []
        headers = self._job_context.headers()
        rows = [self._row(event, str(subject), key or str(subject), headers) for subject, event in events]
        await session.execute(insert(OutboxEvent), rows)
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
