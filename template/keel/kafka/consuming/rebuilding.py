"""Rebuilding a consumer's data from its topics."""

import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from keel.db.database import Database
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.consuming.runner import Runner
from keel.kafka.settings import KafkaSettings


class CannotRebuild(Exception):
    """The consumer has no `reset`, its topics are missing, or its processes are running."""


async def rebuild(database: Database, settings: KafkaSettings, consumer: Consumer, runner: Runner) -> int:
    """Delete a consumer's data, then handle its topics from the beginning to their current end.

    This process joins the consumer's group, so that no other handles events meanwhile. If it is interrupted, the
    consumer's processes continue where it stopped. Returns the number of messages handled.

    Raises:
        CannotRebuild: see the message.
        KafkaError, TimeoutError: the brokers do not answer.
    """
    if consumer.reset is None:
        raise CannotRebuild(f"{consumer.name} has no `reset`")
    connection = runner.connection()
    connection.subscribe([settings.topic(aggregate) for aggregate in consumer.aggregates])
    try:
        await connection.start()
        partitions = await _all_partitions(connection, settings.timeout)
        ends = await connection.end_offsets(partitions)
        begins = await connection.beginning_offsets(partitions)
        # Before the reset: if interrupted in between, events are read again and skipped as duplicates.
        await runner.commit(connection, begins)
        async with database.transaction() as session:
            await consumer.reset(session)
            await runner.inbox.forget(session)
        await connection.seek_to_beginning(*partitions)
        left = {tp for tp in partitions if begins[tp] < ends[tp]}
        count = 0
        while left:
            records = await connection.getmany(timeout_ms=500, max_records=settings.consumer_batch)
            if records:
                await runner.handle(connection, records)
                count += sum(map(len, records.values()))
            left = {tp for tp in left if await connection.position(tp) < ends[tp]}
    finally:
        await connection.stop()
    return count


async def _all_partitions(connection: AIOKafkaConsumer, seconds: float) -> list[TopicPartition]:
    """Return all partitions of the topics, once all are assigned to this process.

    Raises:
        CannotRebuild: other processes have some, or a topic does not exist.
    """
    topics = sorted(connection.subscription())
    found = [
        TopicPartition(topic, number) for topic in topics for number in connection.partitions_for_topic(topic) or ()
    ]
    for topic in topics:
        if not any(tp.topic == topic for tp in found):
            raise CannotRebuild(f"there is no topic {topic}")
    # Polling lets the group assign partitions; messages received meanwhile are read again from the beginning.
    end = time.monotonic() + seconds
    while not connection.assignment() and time.monotonic() < end:
        await connection.getmany(timeout_ms=100)
    if connection.assignment() != set(found):
        raise CannotRebuild("other processes of the consumer are running; stop them first")
    return found
