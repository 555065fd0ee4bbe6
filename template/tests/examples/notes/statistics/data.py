"""Notes with given creation times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from httpx2 import AsyncClient
from sqlalchemy import update

from app.examples.notes.models import Note
from keel.db.database import Database
from tests.examples.notes.api import NOTES, create

STATISTICS = f"{NOTES}/statistics"


@dataclass(frozen=True)
class Sample:
    """A note to create."""

    created_at: datetime
    body: str = ""
    tags: Sequence[str] = ()
    title: str = "A note"


async def add(client: AsyncClient, database: Database, samples: Iterable[Sample]) -> None:
    """Create notes through the API, then set their creation times."""
    made = {}
    for each in samples:
        note = await create(client, title=each.title, body=each.body, tags=[*each.tags])
        made[UUID(note["id"])] = each.created_at
    async with database.transaction() as session:
        for note_id, moment in made.items():
            await session.execute(update(Note).where(Note.id == note_id).values(created_at=moment))


async def read(client: AsyncClient, path: str = "", **query: Any) -> Any:
    """Return the JSON body of a response."""
    answer = await client.get(STATISTICS + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()
