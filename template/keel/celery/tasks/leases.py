"""Roles that one process at a time may have."""

from datetime import timedelta

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from keel import clock
from keel.celery.models import Lease
from keel.db.database import Database

BEAT = "beat"


async def acquire(database: Database, role: str, holder: str, seconds: float) -> bool:
    """Acquire or renew a role for some seconds; return whether the holder has it."""
    now = clock.now()
    expires = now + timedelta(seconds=seconds)
    mine = (
        update(Lease)
        .where(Lease.role == role, or_(Lease.holder == holder, Lease.expires_at <= now))
        .values(holder=holder, expires_at=expires)
        .returning(Lease.role)
    )
    async with database.transaction() as session:
        if (await session.execute(mine)).first() is not None:
            return True
        try:
            async with session.begin_nested():
                await session.execute(insert(Lease).values(role=role, holder=holder, expires_at=expires))
        except IntegrityError:
            return False
    return True


async def get_holder(database: Database, role: str) -> str | None:
    """Return the holder of a role."""
    statement = select(Lease.holder).where(Lease.role == role, Lease.expires_at > clock.now())
    return await database.read.scalar(statement)


async def release(database: Database, role: str, holder: str) -> None:
    """Release a role."""
    async with database.transaction() as session:
        await session.execute(delete(Lease).where(Lease.role == role, Lease.holder == holder))
