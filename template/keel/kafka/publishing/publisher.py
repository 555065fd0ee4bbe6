"""Sends record batches, each acknowledged by all replicas before the next one of its partition is sent."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, errors
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from keel.background.asyncio_tasks import stop
from keel.kafka.client import connection_options
from keel.kafka.publishing.batches import Outcome, OutgoingMessage, in_batches
from keel.kafka.settings import KafkaSettings

BATCH_BYTES = 1_000_000
"""Brokers accept 1 MiB by default."""

TOPIC_SECONDS = 30.0
"""How long a missing or forbidden topic is not looked up again: a lookup takes `KAFKA_TIMEOUT` and delays others."""

MOST_ALONE = 10_000
"""Maximum number of messages remembered as to be sent alone."""

_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
# aiokafka (0.14) does not know INVALID_RECORD and raises UnknownError instead.
_REFUSED = (*_TOO_LARGE, errors.InvalidTimestampError, errors.PolicyViolationError, errors.UnknownError)
_NO_TOPIC = (errors.TopicAuthorizationFailedError, errors.InvalidTopicError, errors.UnknownTopicOrPartitionError)

log = structlog.get_logger()

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Delivery:
    answer: asyncio.Future[Any]
    positions: list[int]
    size: int
    """Bytes."""


class Publisher:
    """A producer that is replaced after each failure.

    A record batch is stored as a whole or not at all, and the next one of its partition waits for the acknowledgement.
    With events sent individually, one could fail while a later one is stored, and its retry would arrive out of order.

    An idempotent producer retries a batch until it is stored or refused; it has no way to give up. So a slow batch
    stays in flight and blocks only its partition, and no producer is started before the previous one has stopped.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._ending: asyncio.Task[None] | None = None
        self._partition = DefaultPartitioner()
        self._on_the_way: dict[Partition, _Delivery] = {}
        self._set_aside: dict[str, float] = {}
        self._alone: set[int] = set()
        self._batch_bytes = BATCH_BYTES

    async def publish(self, messages: Iterable[OutgoingMessage], outcome: Outcome) -> None:
        """Send messages; add their results, and those of earlier slow batches, to `outcome`. May be cancelled."""
        failures = self._settle(outcome)
        try:
            if failures:
                raise failures[0]
            producer = await self._connected()
            known = set(outcome.sent)
            queues = await self._by_partition(
                producer, [each for each in messages if each.position not in known], outcome
            )
        except (KafkaError, OSError, TimeoutError) as error:
            await self._failed(error)
            return
        tasks = [
            asyncio.create_task(self._send(producer, partition, queue, outcome)) for partition, queue in queues.items()
        ]
        try:
            failures = [error for error in await asyncio.gather(*tasks) if error]
        except BaseException:
            await stop(*tasks)
            raise
        if failures:
            await self._failed(failures[0])

    async def close(self) -> None:
        """Close the connections once all batches in flight are stored or refused, or after `KAFKA_TIMEOUT`."""
        self._end()
        if not await self._has_ended():
            await log.awarning("kafka_producer_not_closed", batches=len(self._on_the_way))

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            if not await self._has_ended():
                raise TimeoutError("batches in flight are neither stored nor refused")
            # Batches that a stopped producer left unsent will never be acknowledged.
            self._on_the_way = {tp: each for tp, each in self._on_the_way.items() if each.answer.done()}
            producer = AIOKafkaProducer(
                **connection_options(self._settings),
                acks="all",
                enable_idempotence=True,
                compression_type=None if self._settings.compression == "none" else self._settings.compression,
                max_batch_size=min(self._batch_bytes, BATCH_BYTES),
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
        self, producer: AIOKafkaProducer, messages: Iterable[OutgoingMessage], outcome: Outcome
    ) -> Mapping[Partition, list[OutgoingMessage]]:
        queues: dict[Partition, list[OutgoingMessage]] = defaultdict(list)
        partitions: dict[str, list[int]] = {}
        for message in messages:
            if message.topic not in partitions:
                partitions[message.topic] = await self._partitions(producer, message.topic)
            # As in Java's partitioner, over all partitions, even those without a leader: a key stays in its partition.
            all_ = partitions[message.topic]
            partition = (message.topic, self._partition(message.key, all_, all_)) if all_ else None
            if partition is None or partition in self._on_the_way:
                outcome.waiting.append(message.position)
            else:
                queues[partition].append(message)
        return queues

    async def _partitions(self, producer: AIOKafkaProducer, topic: str) -> list[int]:
        """Return the partitions of a topic; empty if it is missing or forbidden."""
        if self._set_aside.get(topic, 0) > time.monotonic():
            return []
        try:
            async with asyncio.timeout(2 * self._settings.timeout):
                return sorted(await producer.partitions_for(topic))
        except _NO_TOPIC as error:
            self._without(topic, error)
            return []

    async def _send(
        self, producer: AIOKafkaProducer, partition: Partition, messages: Sequence[OutgoingMessage], outcome: Outcome
    ) -> Exception | None:
        """Send a partition's messages until one fails or stalls; return an error that requires a new producer."""
        left = [message.position for message in messages]
        for batch, positions in in_batches(producer, messages, self._alone):
            try:
                async with asyncio.timeout(self._settings.timeout):
                    answer = await producer.send_batch(batch, partition[0], partition=partition[1])
            except (KafkaError, OSError, TimeoutError) as error:
                return error
            self._on_the_way[partition] = _Delivery(answer, positions, batch.size())
            await asyncio.wait([answer], timeout=self._settings.timeout)
            if not answer.done():
                await log.awarning("events_wait_for_partition", topic=partition[0], partition=partition[1])
                outcome.waiting.extend(left)
                return None
            if error := self._answered(partition, outcome):
                return error
            del left[: len(positions)]
        return None

    def _settle(self, outcome: Outcome) -> list[Exception]:
        """Collect the results of earlier slow batches; return errors that require a new producer."""
        done = [partition for partition, delivery in self._on_the_way.items() if delivery.answer.done()]
        return [error for partition in done if (error := self._answered(partition, outcome))]

    def _answered(self, partition: Partition, outcome: Outcome) -> Exception | None:
        delivery = self._on_the_way.pop(partition)
        error = delivery.answer.exception()
        if error is None:
            outcome.sent.extend(delivery.positions)
            self._alone.difference_update(delivery.positions)
        elif isinstance(error, _NO_TOPIC):
            self._without(partition[0], error)
        elif isinstance(error, _REFUSED):
            # Sending each one alone shows which is refused.
            self._alone = self._alone.union(delivery.positions) if len(self._alone) < MOST_ALONE else set()
            if len(delivery.positions) == 1:
                outcome.refused[delivery.positions[0]] = error
            elif isinstance(error, _TOO_LARGE):
                self._batch_bytes = min(self._batch_bytes, delivery.size // 2)
        return error if isinstance(error, Exception) else None

    def _without(self, topic: str, error: Exception) -> None:
        self._set_aside[topic] = time.monotonic() + TOPIC_SECONDS
        log.error("kafka_topic_unavailable", topic=topic, error=repr(error))

    async def _failed(self, error: Exception) -> None:
        """Drop the producer: its sequence numbers may have a gap, which brokers would refuse forever."""
        await log.awarning("events_not_published", error=repr(error))
        self._end()

    def _end(self) -> None:
        if self._producer is not None:
            self._ending, self._producer = asyncio.create_task(_stop(self._producer)), None

    async def _has_ended(self) -> bool:
        """Wait for the previous producer to stop, for at most `KAFKA_TIMEOUT`; return whether it has."""
        if self._ending is not None:
            await asyncio.wait([self._ending], timeout=self._settings.timeout)
        return self._ending is None or self._ending.done()


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        await log.awarning("kafka_producer_not_closed", error=repr(error))
