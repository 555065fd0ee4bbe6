"""Outgoing messages, and grouping them into record batches."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message and its position in the outbox."""

    position: int
    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results by outbox position. A message in none of these may or may not be stored; it is sent again."""

    sent: list[int] = field(default_factory=list)
    """Acknowledged by all in-sync replicas."""
    waiting: list[int] = field(default_factory=list)
    """Their partition has an unacknowledged batch, or their topic is unavailable; others can be sent meanwhile."""
    refused: dict[int, Exception] = field(default_factory=dict)
    """Refused by the brokers even when sent alone."""


def in_batches(
    producer: AIOKafkaProducer, messages: Iterable[OutgoingMessage], alone: Collection[int]
) -> Iterator[tuple[BatchBuilder, list[int]]]:
    """Yield batches, as large as the producer allows, with their positions; messages in `alone` get their own."""

    def begin() -> tuple[BatchBuilder, list[int]]:
        return producer.create_batch(), []

    batch, positions = begin()
    for message in messages:
        content = {"timestamp": message.timestamp_ms, "key": message.key, "value": message.value}
        apart = bool(positions) and (message.position in alone or positions[-1] in alone)
        if apart or batch.append(**content, headers=message.headers) is None:
            batch.close()
            yield batch, positions
            batch, positions = begin()
            batch.append(**content, headers=message.headers)
        positions.append(message.position)
    batch.close()
    yield batch, positions
