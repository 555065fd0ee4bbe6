"""Tables: outbox, relay shards, inbox, deliveries (retries and dead letters), lags."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from keel.db.models import Base

Position = BigInteger().with_variant(Integer(), "sqlite")
"""An auto-incremented number; SQLite increments only INTEGER."""

_UNSENT = text("sent_at IS NULL")


class OutboxEvent(Base):
    """A recorded event; deleted `KAFKA_RETENTION_DAYS` after it was sent.

    Columns without an underscore in their names are those of Debezium's outbox event router.
    """

    __tablename__ = "kafka_outbox"
    __table_args__ = (
        Index("ix_kafka_outbox_unsent", "shard", "position", sqlite_where=_UNSENT, postgresql_where=_UNSENT),
    )

    position: Mapped[int] = mapped_column(Position, primary_key=True)
    """Order of recording."""
    id: Mapped[UUID] = mapped_column(unique=True)
    aggregatetype: Mapped[str] = mapped_column(String(100))
    """Determines the topic."""
    aggregateid: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(255))
    """Events with the same key are published in order."""
    payload: Mapped[str] = mapped_column(Text)
    """The message: a CloudEvent in structured mode."""
    headers: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    shard: Mapped[int] = mapped_column()
    """The key's shard; see `keel.kafka.publishing.shards`."""
    created_at: Mapped[datetime] = mapped_column()
    sent_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the brokers confirmed it; None: not yet."""


class RelayShard(Base):
    """A shard of the outbox and the relay that has claimed it."""

    __tablename__ = "kafka_relay_shards"

    shard: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column()


class InboxEvent(Base):
    """An event handled by a consumer, stored in the transaction that handled it."""

    __tablename__ = "kafka_inbox"

    consumer: Mapped[str] = mapped_column(String(100), primary_key=True)
    event: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Hexadecimal SHA-256 of source and id, which together identify an event (CloudEvents 1.0, 3.1.1)."""
    handled_at: Mapped[datetime] = mapped_column(index=True)


class Delivery(Base):
    """A message that could not be handled yet: it waits for a retry, or is a dead letter."""

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
    """Time of the next attempt; None: a dead letter."""
    error: Mapped[str] = mapped_column(String(1000))
    """`repr` of the last exception; empty: not attempted yet, an earlier message with its key is waiting."""
    created_at: Mapped[datetime] = mapped_column()


class ConsumerLag(Base):
    """A consumer's lag in a partition, as last reported by its process."""

    __tablename__ = "kafka_lags"

    consumer: Mapped[str] = mapped_column(String(100), primary_key=True)
    topic: Mapped[str] = mapped_column(String(249), primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lag: Mapped[int] = mapped_column(BigInteger)
    """In messages."""
    reported_at: Mapped[datetime] = mapped_column()
