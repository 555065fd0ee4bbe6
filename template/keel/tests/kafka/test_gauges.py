"""Gauges of outbox, consumers and dead letters."""

from datetime import timedelta

from fastapi import FastAPI
from sqlalchemy import update

from keel import clock
from keel.kafka.consuming import lags
from keel.kafka.consuming.inbox import IncomingMessage
from keel.kafka.gauges import AGE, DEAD, DEPTH, LAG, RETRIES, read
from keel.kafka.models import OutboxEvent
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.tests.kafka.support import inbox, record


async def test_gauges(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Outbox depth and age, lag, retries and dead letters are reported; all are zero without events."""
    assert await read(app) == {DEPTH: 0, AGE: 0.0, LAG: 0.0, RETRIES: 0, DEAD: 0}

    await record(app, ("ada", 1), ("eve", 1))
    async with services_of(app).database.transaction() as session:
        await session.execute(update(OutboxEvent).values(created_at=clock.now() - timedelta(seconds=90)))
    await lags.report(services_of(app).database, "widgets", {("t", 0): 4, ("t", 1): 5})
    await inbox(app, kafka_settings).handle_all([IncomingMessage("t", 0, 0, b"k", b"no event", {})])

    values = dict(await read(app))
    assert 90 <= values.pop(AGE) < 600
    assert values == {DEPTH: 2, LAG: 9.0, RETRIES: 0, DEAD: 1}
