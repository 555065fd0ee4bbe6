"""The owner's table."""

from fastapi import FastAPI
from sqlalchemy import func, select

from app.ships.models import Ship
from app.ships.seed import seed
from keel.services import services_of


async def test_ships_are_kept(app: FastAPI) -> None:
    """The table is there, whichever migrations made it."""
    async for _ in seed(app, 2):
        pass
    assert await services_of(app).database.read.scalar(select(func.count()).select_from(Ship)) == 2
