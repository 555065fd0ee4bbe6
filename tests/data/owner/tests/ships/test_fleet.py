"""The owner's table."""

from fastapi import FastAPI
from sqlalchemy import func, select

from app.ships.models import Ship
from app.ships.seed import seed


async def test_ships_are_kept(app: FastAPI) -> None:
    """The table is there, whichever migrations made it."""
    async for _ in seed(app, 2):
        pass
    assert await app.state.database.read.scalar(select(func.count()).select_from(Ship)) == 2
