"""Handles events: each takes effect once, in the order of its key, and a failure blocks only its key."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from keel import clock
from keel.background.jobs import Attempt, JobContext
from keel.db.database import Database, Session
from keel.kafka import heartbeat
from keel.kafka.cloudevents.envelope import Envelope, InvalidEvent, Received, decode
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.models import Delivery, InboxEvent
from keel.kafka.settings import KafkaSettings

_INSERTS = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}

log = structlog.get_logger()


class HandlerTooSlow(Exception):
    """A handler took longer than `KAFKA_HANDLER_TIMEOUT`."""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message as received."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]


class Inbox:
    """Handles the messages of one consumer."""

    def __init__(
        self, database: Database, settings: KafkaSettings, job_context: JobContext, consumer: Consumer
    ) -> None:
        self.consumer = consumer
        self._database = database
        self._settings = settings
        self._job_context = job_context

    async def handle_all(self, messages: Sequence[IncomingMessage]) -> None:
        """Handle messages of one partition in one transaction, or if that fails, each in its own.

        Raises:
            Unavailable: the database does not answer. The messages must be delivered again.
        """
        try:
            async with self._database.transaction() as session:
                await self._handle_or_wait(session, messages)
        except Exception:  # noqa: BLE001 - the loop shows which message failed, or that the database did
            for message in messages:
                await self._handle_one(message)

    async def _handle_one(self, message: IncomingMessage) -> None:
        try:
            async with self._database.transaction() as session:
                await self._handle_or_wait(session, [message])
        except Exception as error:  # noqa: BLE001 - no failure may block events of other keys
            await log.awarning("event_failed", consumer=self.consumer.name, offset=message.offset, error=repr(error))
            # If the database is down, this fails, too.
            async with self._database.transaction() as session:
                final = isinstance(error, InvalidEvent) or self._settings.max_attempts == 1
                due = None if final else clock.now() + timedelta(seconds=self.backoff(1))
                await self._store(session, message, attempts=1, due_at=due, error=repr(error))

    async def _handle_or_wait(self, session: Session, messages: Sequence[IncomingMessage]) -> None:
        waiting, ready = await self._waiting_keys(session, messages), list[IncomingMessage]()
        for message in messages:
            if message.key in waiting:
                await self._store(session, message, attempts=0, due_at=clock.now(), error="")
            else:
                ready.append(message)
        await self.handle(session, ready)

    async def handle(self, session: Session, messages: Sequence[IncomingMessage], attempt: int = 1) -> None:
        """Handle messages in a transaction, skipping events that the consumer has already handled.

        Raises:
            InvalidEvent: a message is not an event, or its data is not valid for the handler.
            Exception: raised by the handler.
        """
        # Messages without a value are tombstones of compacted topics.
        events = [(message, decode(message.value)) for message in messages if message.value is not None]
        new = await self._new(session, [envelope.digest for _, envelope in events])
        for message, envelope in events:
            if envelope.digest in new:
                new.remove(envelope.digest)
                await self._handle_event(session, message, envelope, attempt)

    async def _handle_event(self, session: Session, message: IncomingMessage, envelope: Envelope, attempt: int) -> None:
        key = message.key.decode(errors="replace") if message.key is not None else None
        heartbeat.touch()
        received = Received(envelope, message.topic, message.partition, message.offset, key, message.headers)
        with self._job_context.attempting(self._attempt(envelope, message, attempt)):
            limit = asyncio.timeout(self._settings.handler_timeout)
            try:
                async with limit:
                    await self.consumer.handle(session, received)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise HandlerTooSlow(f"more than {self._settings.handler_timeout} s") from error

    def backoff(self, attempts: int) -> float:
        """Return the delay after a number of attempts, in seconds."""
        return min(self._settings.retry_backoff * 2 ** (attempts - 1), self._settings.retry_backoff_max)

    async def count_waiting(self) -> int:
        """Return the number of messages waiting for a retry."""
        waiting = select(func.count()).where(Delivery.consumer == self.consumer.name, Delivery.due_at.is_not(None))
        return await self._database.read.scalar(waiting)

    async def forget(self, session: Session) -> None:
        """Delete the ids of handled events, pending retries and dead letters."""
        await session.execute(delete(InboxEvent).where(InboxEvent.consumer == self.consumer.name))
        await session.execute(delete(Delivery).where(Delivery.consumer == self.consumer.name))

    async def _new(self, session: Session, digests: Sequence[str]) -> set[str]:
        """Store the ids of events; return the new ones. Waits for processes that are handling one of them."""
        if not digests:
            return set()
        # In message order and without duplicates: processes with the same events lock them in the same order.
        rows = [
            {"consumer": self.consumer.name, "event": digest, "handled_at": clock.now()}
            for digest in dict.fromkeys(digests)
        ]
        insert_ = _INSERTS[session.get_bind().dialect.name]
        statement = insert_(InboxEvent).values(rows).on_conflict_do_nothing().returning(InboxEvent.event)
        return {row.event for row in await session.all(statement)}

    async def _waiting_keys(self, session: Session, messages: Sequence[IncomingMessage]) -> set[bytes]:
        keys = {message.key for message in messages if message.key is not None}
        waiting = select(Delivery.key).where(
            Delivery.consumer == self.consumer.name, Delivery.key.in_(keys), Delivery.due_at.is_not(None)
        )
        return {row.key for row in await session.all(waiting.distinct()) if row.key is not None}

    async def _store(
        self, session: Session, message: IncomingMessage, *, attempts: int, due_at: datetime | None, error: str
    ) -> None:
        """Store a message for a retry or as a dead letter, unless it is stored already."""
        same = select(Delivery.id).where(
            Delivery.consumer == self.consumer.name,
            Delivery.topic == message.topic,
            Delivery.partition == message.partition,
            Delivery.offset == message.offset,
        )
        if await session.first(same):
            return
        values = {
            "consumer": self.consumer.name,
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "key": message.key,
            "value": message.value or b"",
            "headers": dict(message.headers),
            "attempts": attempts,
            "due_at": due_at,
            "error": error[:1000].replace("\0", ""),
            "created_at": clock.now(),
        }
        await session.execute(insert(Delivery), [values])

    def _attempt(self, envelope: Envelope, message: IncomingMessage, number: int) -> Attempt:
        return Attempt(
            name=f"{self.consumer.name} {envelope.type}",
            id=envelope.id,
            number=number,
            last=number >= self._settings.max_attempts,
            asked_at=envelope.time or clock.now(),
            headers=message.headers,
        )
