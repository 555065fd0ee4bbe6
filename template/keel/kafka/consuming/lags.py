"""Consumer lag, stored in the database because other processes serve `/readyz` and gauges."""

from collections.abc import Mapping

from keel import clock
from keel.db.database import Database
from keel.kafka.models import ConsumerLag

REPORT_SECONDS = 5.0


async def report(database: Database, consumer: str, lags: Mapping[tuple[str, int], int]) -> None:
    """Store the lag, in messages, of each topic and partition assigned to this process."""
    async with database.transaction() as session:
        for (topic, partition), lag in sorted(lags.items()):
            row = ConsumerLag(consumer=consumer, topic=topic, partition=partition, lag=lag, reported_at=clock.now())
            await session.merge(row)
