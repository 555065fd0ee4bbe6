"""Demonstration notes."""

from fastapi import FastAPI
from sqlalchemy import func, select

from app.core.database import Database
from app.notes.models import Note
from app.notes.seed import seed


async def test_seed(app: FastAPI, database: Database) -> None:
    """As many notes are stored as were asked for, over several transactions."""
    steps = [None async for _ in seed(app, 60)]

    assert len(steps) == 60
    assert await database.read.scalar(select(func.count()).select_from(Note.__table__)) == 60
