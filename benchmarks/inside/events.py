"""Events from a transaction to an effect, and the same number of messages by bare aiokafka; run within a project."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from app.main import create_app
from fastapi import FastAPI
from keel.background.shutdown import Shutdown
from keel.db.database import Session
from keel.kafka.cloudevents.envelope import Received
from keel.kafka.cloudevents.event import Event
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.consuming.runner import Runner
from keel.kafka.publishing.publisher import Publisher
from keel.kafka.publishing.relay import Relay
from keel.services import services_of

KEYS = 100
PER_TRANSACTION = 10
DEADLINE = 600


class Measured(Event):
    """An event of about 400 bytes."""

    aggregate_type = "benchmark"
    event_type = "benchmark.measured"

    number: int
    text: str = "x" * 100


async def record(app: FastAPI, count: int) -> float:
    """Record events, ten in a transaction; return the seconds."""
    services, started = services_of(app), time.perf_counter()
    for first in range(0, count, PER_TRANSACTION):
        async with services.database.transaction() as session:
            for number in range(first, first + PER_TRANSACTION):
                await services.kafka.outbox.record(
                    session, Measured(number=number), subject=uuid4(), key=f"key-{number % KEYS}"
                )
    return time.perf_counter() - started


async def publish(relay: Relay) -> float:
    """Publish all of them by one relay; return the seconds."""
    started = time.perf_counter()
    while (await relay.run_once())[0]:
        pass
    return time.perf_counter() - started


async def consume(app: FastAPI, count: int) -> float:
    """Handle them by one process whose handler does nothing; return the seconds from the first to the last."""
    services = services_of(app)
    times: list[float] = []
    done = asyncio.Event()

    async def handle(_: Session, __: Received) -> None:
        times.append(time.perf_counter())
        if len(times) >= count:
            done.set()

    shutdown = Shutdown()
    consumer = Consumer(f"benchmark-{uuid4().hex}", aggregates=["benchmark"], handle=handle)
    runner = Runner(services.database, services.kafka.settings, services.job_context, consumer, shutdown)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(DEADLINE):
        await done.wait()
    shutdown.begin()
    await running
    return times[-1] - times[0]


async def bare(servers: Sequence[str], count: int) -> tuple[float, float]:
    """Send and receive as many messages without a database; return the seconds of each."""
    topic, value = f"bare-{uuid4().hex}", b"x" * 400
    async with AIOKafkaProducer(
        bootstrap_servers=list(servers), acks="all", enable_idempotence=True, compression_type="lz4"
    ) as producer:
        await producer.send_and_wait(topic, value, key=b"first")
        started = time.perf_counter()
        for first in range(0, count, 500):
            keys = [f"key-{number % KEYS}".encode() for number in range(first, min(first + 500, count))]
            await asyncio.gather(*[await producer.send(topic, value, key=key) for key in keys])
        sent = time.perf_counter() - started
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=list(servers), auto_offset_reset="earliest"
    ) as consumer:
        started, received = time.perf_counter(), 0
        while received <= count:
            received += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
            if received == count + 1:
                break
    return sent, time.perf_counter() - started


async def main(count: int) -> None:
    """Measure, and print events per second as JSON."""
    app = create_app()
    async with app.router.lifespan_context(app):
        services = services_of(app)
        publisher = Publisher(services.kafka.settings)
        relay = Relay(services.database, services.kafka.settings, publisher)
        # Connected before anything is measured.
        await record(app, PER_TRANSACTION)
        await publish(relay)
        recorded = await record(app, count)
        published = await publish(relay)
        await publisher.close()
        consumed = await consume(app, count)
        sent, received = await bare(services.kafka.settings.bootstrap_servers, count)
    seconds = {
        "record": recorded,
        "relay": published,
        "consume": consumed,
        "bare send": sent,
        "bare receive": received,
    }
    print(json.dumps({name: count / value for name, value in seconds.items()}))


asyncio.run(main(int(sys.argv[1])))
