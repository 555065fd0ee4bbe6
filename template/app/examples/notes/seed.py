"""Demonstration notes."""

import random
from collections.abc import AsyncIterator

from fastapi import FastAPI

from app.examples.notes.schemas import NoteCreate
from app.examples.notes.service import NoteService
from keel.services import services_of

_TOPICS = ("harbour", "garden", "kitchen", "workshop", "library", "market", "station", "school")
_TASKS = ("plan", "repair", "visit", "paint", "measure", "describe", "count", "tidy")
_BATCH = 50


async def seed(app: FastAPI, count: int) -> AsyncIterator[None]:
    """Add notes of `seed_owner`, yielding after each; the same ones every time."""
    services = services_of(app)
    # The same notes on every machine make examples and measurements comparable; nothing here is secret.
    dice = random.Random(0)  # noqa: S311 - the same each time
    for start in range(0, count, _BATCH):
        async with services.database.transaction() as session:
            notes = NoteService(session, services.seed_owner, services)
            for _ in range(start, min(start + _BATCH, count)):
                await notes.create(_note(dice))
                yield


def _note(dice: random.Random) -> NoteCreate:
    place, task = dice.choice(_TOPICS), dice.choice(_TASKS)
    body = "\n".join(f"- {dice.choice(_TASKS)} the {dice.choice(_TOPICS)}" for _ in range(dice.randint(1, 6)))
    return NoteCreate(title=f"{task.capitalize()} the {place}", body=body, tags=sorted({place, task}))
