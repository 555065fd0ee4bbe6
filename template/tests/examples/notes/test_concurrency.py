"""Concurrent requests: no update is lost."""

import asyncio
from uuid import UUID

from httpx2 import AsyncClient

from app.examples.notes.repository import NoteRepository
from keel.db.database import Database
from keel.testing.identity import sign_in
from tests.examples.notes.api import NOTES, create

CALLERS = 20


async def test_concurrent_read_modify_writes_all_count(client: AsyncClient, database: Database) -> None:
    """Twenty transactions read a note and append to it: every line is there in the end."""
    subject = await sign_in(client)
    note = await create(client, body="")
    lines = [f"{i}\n" for i in range(CALLERS)]

    async def append(line: str) -> None:
        async with database.transaction() as session:
            entity = await NoteRepository(session).get_for_update(id=UUID(note["id"]), owner_id=subject)
            assert entity is not None
            entity.body += line

    await asyncio.gather(*map(append, lines))

    final = (await client.get(f"{NOTES}/{note['id']}")).json()
    assert sorted(final["body"].splitlines(keepends=True)) == sorted(lines)
    assert final["version"] == CALLERS + 1


async def test_concurrent_updates_take_turns(client: AsyncClient) -> None:
    """Updates without a version all succeed, one after the other."""
    note = await create(client)
    url = f"{NOTES}/{note['id']}"

    answers = await asyncio.gather(*(client.patch(url, json={"title": str(i)}) for i in range(10)))

    assert [answer.status_code for answer in answers] == [200] * 10
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 12))


async def test_concurrent_updates_with_one_etag(client: AsyncClient) -> None:
    """One succeeds; the others get 412."""
    note = await create(client)
    url = f"{NOTES}/{note['id']}"

    updates = (client.patch(url, json={"title": str(i)}, headers={"If-Match": '"1"'}) for i in range(10))
    answers = await asyncio.gather(*updates)

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_concurrent_creators_share_new_tags(client: AsyncClient) -> None:
    """A tag created by several requests at once is created once."""
    notes = await asyncio.gather(*(create(client, tags=["new", "also new"]) for _ in range(10)))

    assert [note["tags"] for note in notes] == [["also new", "new"]] * 10
