"""Demonstration notes."""

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.examples.notes import seed
from app.examples.notes.models import Note
from keel.db.database import Database

COUNT = select(func.count()).select_from(Note.__table__)


async def test_seed(app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The requested number of notes is stored, over several transactions."""
    monkeypatch.setattr(seed, "_BATCH", 2)

    stored = [await database.read.scalar(COUNT) async for _ in seed.seed(app, 5)]

    assert stored == [0, 0, 2, 2, 4]
    assert await database.read.scalar(COUNT) == 5
