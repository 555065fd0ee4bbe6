"""Tables of events: the outbox, what relays claim, the inbox, deliveries that wait or are dead, lags."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from keel.db.models import Base

Position = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database counts up; SQLite does so for its own INTEGER alone."""

_UNSENT = text("sent_at IS NULL")


class OutboxEvent(Base):
    """An event, from the transaction that records it until its retention ends.

    The columns without an underscore are those of Debezium's outbox event router.
    """

    __tablename__ = "kafka_outbox"
    __table_args__ = (
        Index("ix_kafka_outbox_unsent", "shard", "position", sqlite_where=_UNSENT, postgresql_where=_UNSENT),
    )

    position: Mapped[int] = mapped_column(Position, primary_key=True)
    """In the order in which events were recorded."""
    id: Mapped[UUID] = mapped_column(unique=True)
    aggregatetype: Mapped[str] = mapped_column(String(100))
    """Names the topic."""
    aggregateid: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(255))
    """Events of a key are published in order."""
    payload: Mapped[str] = mapped_column(Text)
    """The message: a CloudEvent in structured mode."""
    headers: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    shard: Mapped[int] = mapped_column()
    """Of the key; see `keel.kafka.publishing.shards`."""
    created_at: Mapped[datetime] = mapped_column()
    sent_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the brokers had confirmed it."""


class RelayShard(Base):
    """A part of the outbox, and which relay publishes it."""

    __tablename__ = "kafka_relay_shards"

    shard: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column()


class InboxEvent(Base):
    """An event that a consumer has handled, stored in the transaction of its effect."""

    __tablename__ = "kafka_inbox"

    consumer: Mapped[str] = mapped_column(String(100), primary_key=True)
    event: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of its source and id, which identify it together (CloudEvents 1.0, 3.1.1), in hexadecimal digits."""
    handled_at: Mapped[datetime] = mapped_column(index=True)


class Delivery(Base):
    """A message that could not be handled: it waits for another attempt, or is a dead letter."""

    __tablename__ = "kafka_deliveries"
    __table_args__ = (
        UniqueConstraint("consumer", "topic", "partition", "offset"),
        Index(None, "consumer", "key", "id"),
        Index(None, "consumer", "due_at"),
    )

    id: Mapped[int] = mapped_column(Position, primary_key=True)
    consumer: Mapped[str] = mapped_column(String(100))
    topic: Mapped[str] = mapped_column(String(249))
    partition: Mapped[int] = mapped_column()
    offset: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[bytes | None] = mapped_column()
    value: Mapped[bytes] = mapped_column()
    headers: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    attempts: Mapped[int] = mapped_column()
    due_at: Mapped[datetime | None] = mapped_column()
    """When it is tried again; None: it is a dead letter."""
    error: Mapped[str] = mapped_column(String(1000))
    """The `repr` of the last exception; empty: it waits for an earlier message of its key."""
    created_at: Mapped[datetime] = mapped_column()


class ConsumerLag(Base):
    """How far a consumer is behind in a partition, as its process last reported."""

    __tablename__ = "kafka_lags"

    consumer: Mapped[str] = mapped_column(String(100), primary_key=True)
    topic: Mapped[str] = mapped_column(String(249), primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lag: Mapped[int] = mapped_column(BigInteger)
    """Messages."""
    reported_at: Mapped[datetime] = mapped_column()
