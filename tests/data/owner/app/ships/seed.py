"""Demonstration ships."""

from collections.abc import AsyncIterator

from fastapi import FastAPI

from app.core.caller import GUEST
from app.ships.models import Ship


async def seed(app: FastAPI, count: int) -> AsyncIterator[None]:
    """Add ships of the guest's, yielding after each."""
    async with app.state.database.transaction() as session:
        for number in range(count):
            session.add(Ship(owner_id=GUEST.subject, name=f"Ship {number}"))
            yield
