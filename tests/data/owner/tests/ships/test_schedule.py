"""The owner's schedule."""

from fastapi import FastAPI
from sqlalchemy import select

from app.ships.models import Ship
from keel.services import services_of


async def test_a_ship_every_morning(app: FastAPI) -> None:
    """The entry and its job are there, whatever runs them."""
    services = services_of(app)
    entry = services.schedule.entries["a ship every morning"]
    async with services.database.transaction() as session:
        await services.jobs.handlers[entry.job](session, entry.payload)

    assert await services.database.read.scalar(select(Ship.name)) == "Dawn"
