"""Counts of deleted accounts are deleted, and those of transferred ones moved."""

from datetime import date

from fastapi import FastAPI

from app.examples.activity.account_data import account_data
from app.examples.activity.models import Activity
from app.examples.activity.repository import ActivityRepository
from app.examples.activity.schemas import Day
from keel.services import services_of

ONE, TWO = date(2026, 1, 1), date(2026, 1, 2)


async def store(app: FastAPI) -> None:
    """Store counts of two owners, with one day in common."""
    async with services_of(app).database.transaction() as session:
        session.add_all(
            [
                Activity(owner_id="old", day=ONE, created=1, updated=2, deleted=3),
                Activity(owner_id="old", day=TWO, created=4, updated=5, deleted=6),
                Activity(owner_id="new", day=TWO, created=10, updated=20, deleted=30),
            ]
        )


async def days(app: FastAPI, owner: str) -> list[Day]:
    """Return an owner's counts."""
    return list(await ActivityRepository(services_of(app).database.read).days(owner, date(2020, 1, 1), 10))


async def test_transfer_adds_up(app: FastAPI) -> None:
    """The counts of each day are added up."""
    await store(app)
    async with services_of(app).database.transaction() as session:
        await account_data(services_of(app)).transfer_ownership(session, "old", "new")
    assert await days(app, "old") == []
    assert await days(app, "new") == [
        Day(day=ONE, created=1, updated=2, deleted=3),
        Day(day=TWO, created=14, updated=25, deleted=36),
    ]


async def test_deletion(app: FastAPI) -> None:
    """Only the deleted account's counts are deleted."""
    await store(app)
    async with services_of(app).database.transaction() as session:
        await account_data(services_of(app)).delete(session, "old")
    assert await days(app, "old") == []
    assert len(await days(app, "new")) == 1
