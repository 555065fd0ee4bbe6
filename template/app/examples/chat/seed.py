"""A demonstration room with messages."""

import random
from collections.abc import AsyncIterator

from fastapi import FastAPI

from app.examples.chat.message_store import Draft, MessageStore
from app.examples.chat.schemas import RoomCreate
from app.examples.chat.service import ChatService
from keel.services import services_of

_WORDS = ("tide", "rope", "paint", "crane", "light", "ferry", "crew", "berth")
_BATCH = 50


async def seed(app: FastAPI, count: int) -> AsyncIterator[None]:
    """Open a room and store messages in it, yielding after each."""
    # The same words on every machine; nothing here is secret.
    dice = random.Random(0)  # noqa: S311 - the same each time
    services = services_of(app)
    async with services.database.transaction() as session:
        room = await ChatService(session, services.seed_owner).open(RoomCreate(name="Harbour"))
    store = MessageStore(services.database)
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        texts = [" ".join(dice.choices(_WORDS, k=dice.randint(2, 8))) for _ in numbers]
        await store.append(
            room.id,
            [Draft(services.seed_owner.subject, f"seed-{n}", text) for n, text in zip(numbers, texts, strict=True)],
        )
        for _ in numbers:
            yield
