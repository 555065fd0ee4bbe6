"""A consumer's process: reads its partitions, handles messages and commits offsets."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from keel.background.asyncio_tasks import stop
from keel.background.jobs import JobContext
from keel.background.shutdown import Shutdown
from keel.db.database import Database
from keel.kafka import heartbeat
from keel.kafka.client import connection_options
from keel.kafka.consuming import lags
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.consuming.inbox import Inbox, IncomingMessage
from keel.kafka.consuming.retries import Retries
from keel.kafka.settings import KafkaSettings
from keel.web.errors import Unavailable

POLL_SECONDS = 0.5
"""How long a read waits for messages, and the interval between checks for due retries."""

MAX_PAUSE = 5.0
"""Seconds between attempts while brokers or database do not answer."""

POLL_INTERVAL_SECONDS = 600
"""How long a batch may take before its partitions are reassigned to another process."""

METADATA_SECONDS = 10
"""How long a consumer relies on what it knows of partitions' leaders.

aiokafka (0.14) does not ask again if a leader has moved when it looks up the first offset of a partition; by default,
it would read nothing there for five minutes.
"""

log = structlog.get_logger()


class Runner:
    """Runs one consumer in this process until shutdown."""

    def __init__(
        self,
        database: Database,
        settings: KafkaSettings,
        job_context: JobContext,
        consumer: Consumer,
        shutdown: Shutdown,
    ) -> None:
        self._database = database
        self._settings = settings
        self._shutdown = shutdown
        self._consumer = consumer
        self.inbox = Inbox(database, settings, job_context, consumer)
        self._retries = Retries(database, settings, self.inbox)
        self._handling = asyncio.Lock()
        self._reported = 0.0

    async def run(self) -> None:
        """Handle messages until shutdown, then finish and commit the current batch."""
        retrying = asyncio.create_task(self._retry())
        try:
            while not self._shutdown.begun:
                try:
                    await self._consume()
                except (KafkaError, OSError, TimeoutError, Unavailable) as error:
                    await log.awarning("consumer_waits", consumer=self._consumer.name, error=repr(error))
                    heartbeat.touch()
                    await self._pause(MAX_PAUSE)
        finally:
            # At shutdown it ends by itself, after the current attempt.
            if not self._shutdown.begun:
                await stop(retrying)
            await retrying

    def connection(self) -> AIOKafkaConsumer:
        """Return a consumer in the group, not yet started."""
        return AIOKafkaConsumer(
            **connection_options(self._settings),
            group_id=self._settings.group(self._consumer.name),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=self._settings.consumer_batch,
            session_timeout_ms=round(self._settings.session_timeout * 1000),
            heartbeat_interval_ms=round(self._settings.session_timeout * 1000 / 3),
            max_poll_interval_ms=POLL_INTERVAL_SECONDS * 1000,
            metadata_max_age_ms=METADATA_SECONDS * 1000,
            # aiokafka (0.14) has no cooperative protocol (KIP-429), and its sticky assignor keeps state in the class,
            # which consumers in one process would share.
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )

    async def _consume(self) -> None:
        connection = self.connection()
        try:
            topics = [self._settings.topic(aggregate) for aggregate in self._consumer.aggregates]
            connection.subscribe(topics, listener=Drain(self._handling))
            await connection.start()
            while not self._shutdown.begun:
                heartbeat.touch()
                await self._step(connection)
        finally:
            await connection.stop()

    async def _step(self, connection: AIOKafkaConsumer) -> None:
        """Read once, handle the messages, commit."""
        if await self.inbox.count_waiting() >= self._settings.max_waiting:
            # The rest is safe in the topic. Reading resumes once retries have made room.
            await self._pause(POLL_SECONDS)
            return
        records = await connection.getmany(
            timeout_ms=round(POLL_SECONDS * 1000), max_records=self._settings.consumer_batch
        )
        async with self._handling:
            if assigned := {tp: found for tp, found in records.items() if tp in connection.assignment()}:
                await self.handle(connection, assigned)
        await self._report(connection)

    async def handle(
        self, connection: AIOKafkaConsumer, records: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]
    ) -> None:
        """Handle messages, those of each partition in order, and commit their offsets.

        Raises:
            Unavailable: the database does not answer; nothing is committed.
            TimeoutError: no broker accepts the offsets; the messages will be read again, and the inbox skips them.
        """
        await asyncio.gather(
            *(self.inbox.handle_all([_incoming(each) for each in found]) for found in records.values())
        )
        try:
            await self.commit(connection, {tp: found[-1].offset + 1 for tp, found in records.items()})
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions were reassigned. The other process reads the messages again, and its inbox skips them.
            await log.awarning("offsets_not_committed", consumer=self._consumer.name, error=repr(error))

    async def commit(self, connection: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets. aiokafka repeats a commit until a broker accepts it, even if none ever does.

        Raises:
            TimeoutError: none accepted it within `KAFKA_TIMEOUT`.
        """
        async with asyncio.timeout(self._settings.timeout):
            await connection.commit(dict(offsets))

    async def _retry(self) -> None:
        while not self._shutdown.begun:
            try:
                found = await self._retries.run_once()
            except Unavailable:
                found = False
            if not found:
                await self._pause(POLL_SECONDS)

    async def _report(self, connection: AIOKafkaConsumer) -> None:
        if time.monotonic() - self._reported < lags.REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        found = {}
        for tp in connection.assignment():
            if (end := connection.highwater(tp)) is not None:
                found[tp.topic, tp.partition] = max(0, end - await connection.position(tp))
        if found:
            await lags.report(self._database, self._consumer.name, found)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shutdown.wait()


class Drain(ConsumerRebalanceListener):
    """Delays a rebalance until the current batch is finished and committed."""

    def __init__(self, handling: asyncio.Lock) -> None:
        self._handling = handling

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - aiokafka's signature
        """Wait for the current batch."""
        async with self._handling:
            pass

    async def on_partitions_assigned(self, assigned: object) -> None:  # aiokafka's signature
        """Do nothing: aiokafka starts at the committed offsets."""


def _incoming(record: ConsumerRecord[bytes, bytes]) -> IncomingMessage:
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    return IncomingMessage(record.topic, record.partition, record.offset, record.key, record.value, headers)
