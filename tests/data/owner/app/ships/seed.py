"""Demonstration ships."""

from collections.abc import AsyncIterator

from fastapi import FastAPI

from app.ships.models import Ship
from keel.caller import GUEST
from keel.services import services_of


async def seed(app: FastAPI, count: int) -> AsyncIterator[None]:
    """Add ships of the guest's, yielding after each."""
    async with services_of(app).database.transaction() as session:
        for number in range(count):
            session.add(Ship(owner_id=GUEST.subject, name=f"Ship {number}"))
            yield
