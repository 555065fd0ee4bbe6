"""Parts of the outbox that relays claim, so that several share the work and no key is published by two at a time.

A claim is a lease: a relay that is killed loses it after `KAFKA_RELAY_LEASE`. Should one come back later than that, as after
a suspension, what it still sends are repeats, and the first occurrences of a key's events stay in order: the next relay
begins with the first event that is not known to be sent.
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
"""More relays than that have nothing to do. A constant: rows keep the shard of their key."""

AT_ONCE = 4
"""Shards that a relay claims at most, so that others have some, too."""

_FREE = (
    select(RelayShard.shard)
    .where(
        RelayShard.expires_at <= bindparam("now", type_=RelayShard.expires_at.type),
        exists().where(OutboxEvent.shard == RelayShard.shard, OutboxEvent.sent_at.is_(None)),
    )
    # The one that was served longest ago comes first.
    .order_by(RelayShard.expires_at)
    .limit(AT_ONCE)
)


def shard_of(key: str) -> int:
    """Return the shard of a key."""
    return zlib.crc32(key.encode()) % SHARDS


async def create(database: Database) -> None:
    """Add the rows of the shards, unless they are there."""
    if await database.read.scalar(select(RelayShard.shard).where(RelayShard.shard == SHARDS - 1)) is not None:
        return
    rows = [{"shard": shard, "holder": "", "expires_at": clock.now()} for shard in range(SHARDS)]
    async with database.transaction() as session:
        try:
            async with session.begin_nested():
                await session.execute(insert(RelayShard), rows)
        except IntegrityError:
            pass  # Another relay was faster.


async def claim(database: Database, holder: str, seconds: float) -> Sequence[int]:
    """Claim shards that have something to be sent and that no relay holds; none, if there are none."""
    # Without a transaction first: an idle relay must not keep others from writing.
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
    """Give up shards, so that any relay may claim them."""
    mine = update(RelayShard).where(RelayShard.shard.in_(shards), RelayShard.holder == holder)
    await session.execute(mine.values(holder="", expires_at=clock.now()))
