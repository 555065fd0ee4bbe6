"""Readiness: `/readyz` reports degraded, never down, when events wait: requests are still served."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from fastapi import FastAPI
from sqlalchemy import bindparam, func, select

from keel import clock
from keel.kafka.models import ConsumerLag, OutboxEvent
from keel.kafka.settings import KafkaSettings
from keel.services import services_of

REPORTED = timedelta(minutes=5)
"""Older lag reports come from processes that have ended or consumers that were removed."""

_OLDEST = select(func.min(OutboxEvent.created_at)).where(OutboxEvent.sent_at.is_(None))
_LAG = select(func.max(ConsumerLag.lag)).where(
    ConsumerLag.reported_at >= bindparam("since", type_=ConsumerLag.reported_at.type)
)


class Behind(Exception):
    """Events wait for too long, or no broker answers."""


def add_checks(app: FastAPI, settings: KafkaSettings) -> None:
    """Register the checks."""
    services = services_of(app)

    async def brokers() -> None:
        if not any(await asyncio.gather(*map(_accepts, settings.bootstrap_servers))):
            raise Behind("no broker accepts connections")

    async def outbox() -> None:
        oldest: datetime | None = await services.database.read.scalar(_OLDEST)
        if oldest and (age := (clock.now() - oldest).total_seconds()) > settings.max_outbox_age:
            raise Behind(f"the oldest event in the outbox has waited for {age:.0f} s")

    async def consumers() -> None:
        lag = await services.database.read.scalar(_LAG, {"since": clock.now() - REPORTED})
        if lag and lag > settings.max_lag:
            raise Behind(f"a consumer is {lag} events behind")

    services.checks.add("kafka", brokers, required=False)
    services.checks.add("kafka_outbox", outbox, required=False)
    services.checks.add("kafka_consumers", consumers, required=False)


async def _accepts(server: str) -> bool:
    """Whether a broker accepts connections. The caller applies a timeout."""
    host, _, port = server.rpartition(":")
    with suppress(OSError, ValueError):
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()
        return True
    return False
