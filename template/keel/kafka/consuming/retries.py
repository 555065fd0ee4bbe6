"""Retries of failed messages.

They are rows, not messages in a retry topic: to keep a key in order, the transaction that handles an event must see
whether earlier ones of its key are waiting.
"""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.orm import aliased

from keel import clock
from keel.db.database import AnyRow, Database
from keel.kafka.cloudevents.envelope import InvalidEvent
from keel.kafka.consuming.inbox import Inbox, IncomingMessage
from keel.kafka.models import Delivery
from keel.kafka.settings import KafkaSettings

_Earlier = aliased(Delivery)

log = structlog.get_logger()


class Retries:
    """Retries waiting messages, the first of each key, so that keys stay in order."""

    def __init__(self, database: Database, settings: KafkaSettings, inbox: Inbox) -> None:
        self._database = database
        self._settings = settings
        self._inbox = inbox

    async def run_once(self) -> bool:
        """Make one due attempt; return whether there was one.

        Raises:
            Unavailable: the database does not answer.
        """
        if await self._database.read.first(self._due()) is None:
            return False
        row: AnyRow | None = None
        try:
            async with self._database.transaction() as session:
                # Locked until the attempt ends; other processes skip it.
                row = await session.first(self._due().with_for_update(of=Delivery, skip_locked=True))
                if row is None:
                    return False
                await self._inbox.handle(session, [_message(row)], row.attempts + 1)
                await session.execute(delete(Delivery).where(Delivery.id == row.id))
        except Exception as error:
            if row is None:
                raise
            await self._failed(row, error)
        return True

    async def _failed(self, row: AnyRow, error: Exception) -> None:
        attempts = row.attempts + 1
        dead = isinstance(error, InvalidEvent) or attempts >= self._settings.max_attempts
        due = None if dead else clock.now() + timedelta(seconds=self._inbox.backoff(attempts))
        async with self._database.transaction() as session:
            await session.execute(
                update(Delivery)
                .where(Delivery.id == row.id, Delivery.attempts == row.attempts)
                .values(attempts=attempts, due_at=due, error=repr(error)[:1000].replace("\0", ""))
            )
        if dead:
            await log.aerror("event_dead", consumer=row.consumer, delivery=row.id, error=repr(error))

    def _due(self) -> Select[Any]:
        earlier = exists().where(
            _Earlier.consumer == Delivery.consumer,
            _Earlier.key == Delivery.key,
            _Earlier.id < Delivery.id,
            _Earlier.due_at.is_not(None),
        )
        mine = select(Delivery.__table__).where(Delivery.consumer == self._inbox.consumer.name)
        return mine.where(Delivery.due_at <= clock.now(), ~earlier).order_by(Delivery.due_at).limit(1)


def _message(row: AnyRow) -> IncomingMessage:
    return IncomingMessage(row.topic, row.partition, row.offset, row.key, row.value, row.headers)
