"""Messages, and the record batches that they are sent in."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message, and its place in the outbox."""

    position: int
    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of messages, by their positions. Those in none of these may or may not be stored, and are sent again."""

    sent: list[int] = field(default_factory=list)
    """All in-sync replicas have them."""
    waiting: list[int] = field(default_factory=list)
    """Their partition has not answered for what it was sent, or their topic is not there: sending others need not wait."""
    refused: dict[int, Exception] = field(default_factory=dict)
    """Brokers refuse each of them, sent alone."""


def in_batches(
    producer: AIOKafkaProducer, messages: Iterable[OutgoingMessage], alone: Collection[int]
) -> Iterator[tuple[BatchBuilder, list[int]]]:
    """Yield batches with the positions of their messages: as large as the producer lets them be, some messages alone."""

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
