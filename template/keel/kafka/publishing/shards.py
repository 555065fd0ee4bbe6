"""Shards of the outbox: relays claim them to share the work, and no two relays publish a key at the same time.

A claim is a lease: a killed relay loses it after `KAFKA_RELAY_LEASE`. If one resumes after that, for example after
a suspension, it can only send duplicates, and the first occurrences of a key's events stay in order: the next relay
starts with the first event that is not marked as sent.
"""

import zlib
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import bindparam, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from keel import clock
from keel.db.database import Database, Session
from keel.kafka.models import OutboxEvent, RelayShard

SHARDS = 16
"""Number of shards: more relays would be idle. Never change it, since rows store the shard of their key."""

AT_ONCE = 4
"""Maximum number of shards claimed at a time, leaving some for other relays."""

_FREE = (
    select(RelayShard.shard)
    .where(
        RelayShard.expires_at <= bindparam("now", type_=RelayShard.expires_at.type),
        exists().where(OutboxEvent.shard == RelayShard.shard, OutboxEvent.sent_at.is_(None)),
    )
    # Least recently served first.
    .order_by(RelayShard.expires_at)
    .limit(AT_ONCE)
)


def shard_of(key: str) -> int:
    """Return the shard of a key."""
    return zlib.crc32(key.encode()) % SHARDS


async def create(database: Database) -> None:
    """Insert the rows of the shards unless they exist."""
    if await database.read.scalar(select(RelayShard.shard).where(RelayShard.shard == SHARDS - 1)) is not None:
        return
    rows = [{"shard": shard, "holder": "", "expires_at": clock.now()} for shard in range(SHARDS)]
    async with database.transaction() as session:
        try:
            async with session.begin_nested():
                await session.execute(insert(RelayShard), rows)
        except IntegrityError:
            pass  # Another relay has inserted them.


async def claim(database: Database, holder: str, seconds: float) -> Sequence[int]:
    """Claim unclaimed shards with unsent events for a number of seconds; return them, or an empty list."""
    # Check without a transaction first: an idle relay must not block writers.
    if await database.read.first(_FREE, {"now": clock.now()}) is None:
        return []
    async with database.transaction() as session:
        now = clock.now()
        free = _FREE.with_for_update(of=RelayShard, skip_locked=True)
        shards = [row.shard for row in await session.all(free, {"now": now})]
        await session.execute(
            update(RelayShard)
            .where(RelayShard.shard.in_(shards))
            .values(holder=holder, expires_at=now + timedelta(seconds=seconds))
        )
    return shards


async def release(session: Session, holder: str, shards: Sequence[int]) -> None:
    """Release shards for any relay to claim."""
    mine = update(RelayShard).where(RelayShard.shard.in_(shards), RelayShard.holder == holder)
    await session.execute(mine.values(holder="", expires_at=clock.now()))
