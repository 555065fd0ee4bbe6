"""Messages to the brokers: record batches, each acknowledged by all replicas before the next of its partition is sent."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from keel.background.asyncio_tasks import stop
from keel.kafka.client import connection_options
from keel.kafka.settings import KafkaSettings

BATCH_BYTES = 1_000_000
"""Brokers take 1 MiB unless they are told otherwise."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message, and its place in the outbox."""

    position: int
    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int


Partition = tuple[str, int]


class Publisher:
    """A producer that is made anew after each failure.

    A record batch is stored whole or not at all, and the next one of a partition waits for its acknowledgement. Sent one by
    one, an event could fail while one after it is stored, and would follow that when it is sent again.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._partition = DefaultPartitioner()

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        """Send messages; return the positions of those that all replicas have. The others may or may not be stored."""
        try:
            producer = await self._connected()
            queues = await self._by_partition(producer, messages)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._failed(error)
            return []
        tasks = [asyncio.create_task(self._send(producer, partition, queue)) for partition, queue in queues.items()]
        try:
            outcomes = await asyncio.gather(*tasks)
        except BaseException:
            await stop(*tasks)
            await self.close()
            raise
        if failure := next((error for _, error in outcomes if error), None):
            await self._failed(failure)
        return [position for positions, _ in outcomes for position in positions]

    async def close(self) -> None:
        """Close the connections."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                async with asyncio.timeout(self._settings.timeout):
                    await producer.stop()
            except (KafkaError, OSError, TimeoutError) as error:
                await log.awarning("kafka_producer_not_closed", error=repr(error))

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **connection_options(self._settings),
                acks="all",
                enable_idempotence=True,
                compression_type=None if self._settings.compression == "none" else self._settings.compression,
                max_batch_size=BATCH_BYTES,
            )
            try:
                async with asyncio.timeout(self._settings.timeout):
                    await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _by_partition(
        self, producer: AIOKafkaProducer, messages: Iterable[OutgoingMessage]
    ) -> Mapping[Partition, list[OutgoingMessage]]:
        queues: dict[Partition, list[OutgoingMessage]] = defaultdict(list)
        partitions: dict[str, list[int]] = {}
        for message in messages:
            if message.topic not in partitions:
                async with asyncio.timeout(self._settings.timeout):
                    partitions[message.topic] = sorted(await producer.partitions_for(message.topic))
            all_ = partitions[message.topic]
            # Java's partitioner: by all partitions, also those whose leader is lost, so that a key keeps its own.
            queues[message.topic, self._partition(message.key, all_, all_)].append(message)
        return queues

    async def _send(
        self, producer: AIOKafkaProducer, partition: Partition, messages: Sequence[OutgoingMessage]
    ) -> tuple[list[int], Exception | None]:
        """Send the messages of a partition; return the positions of those that are stored, and what ended it."""
        sent: list[int] = []
        try:
            for batch, positions in _batches(producer, messages):
                async with asyncio.timeout(2 * self._settings.timeout):
                    await (await producer.send_batch(batch, partition[0], partition=partition[1]))
                sent += positions
        except (KafkaError, OSError, TimeoutError) as error:
            return sent, error
        return sent, None

    async def _failed(self, error: Exception) -> None:
        """Forget the producer: its sequence numbers may have a gap, which brokers would refuse for ever."""
        await log.awarning("events_not_published", error=repr(error))
        await self.close()


def _batches(
    producer: AIOKafkaProducer, messages: Sequence[OutgoingMessage]
) -> Iterator[tuple[BatchBuilder, list[int]]]:
    """Yield record batches with the positions of their messages, as large as brokers take them."""

    def begin() -> BatchBuilder:
        return producer.create_batch()

    batch, positions = begin(), list[int]()
    for message in messages:
        content = {"timestamp": message.timestamp_ms, "key": message.key, "value": message.value}
        if batch.append(**content, headers=message.headers) is None:
            yield batch, positions
            batch, positions = begin(), list[int]()
            batch.append(**content, headers=message.headers)
        positions.append(message.position)
    batch.close()
    yield batch, positions
