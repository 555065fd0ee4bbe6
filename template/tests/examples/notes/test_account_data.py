"""Notes of deleted and transferred accounts."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from app.examples.notes.account_data import account_data
from app.examples.notes.imports.models import ImportPiece, ImportState, NoteImport
from app.examples.notes.imports.repository import ImportRepository
from app.examples.notes.service import owner_tag
from keel.db.database import Database
from keel.services import services_of
from keel.testing.identity import sign_in
from tests.examples.notes.api import NOTES, create, titles


async def test_deletion(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Notes and tags of a deleted account are deleted."""
    await create(client, tags=["pier"])
    owner = await sign_in(client)
    async with database.transaction() as session:
        await account_data(services_of(app)).delete(session, owner)

    assert (await client.get(NOTES)).json()["items"] == []


async def test_imports(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Imports are transferred with their owner's data, and deleted with it, including pending rows."""
    old, new = await sign_in(client), await sign_in(client, "heir")
    async with database.transaction() as session:
        for owner in (old, new):
            found = await ImportRepository(session).add(owner_id=owner, state=ImportState.RUNNING)
            await ImportRepository(session).add_piece(found.id, 0, [])
        await account_data(services_of(app)).transfer_ownership(session, old, new)

    assert [row.owner_id for row in await database.read.all(select(NoteImport.owner_id))] == [new, new]
    async with database.transaction() as session:
        await account_data(services_of(app)).delete(session, new)
    assert [*await database.read.all(select(NoteImport.id)), *await database.read.all(select(ImportPiece))] == []


async def test_transfer(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Notes and tags belong to the new owner; a tag that both use becomes one."""
    await create(client, title="transferred", tags=["both", "alone"])
    old = await sign_in(client)
    new = await sign_in(client, "heir")
    await create(client, title="own", tags=["both"])
    async with database.transaction() as session:
        await account_data(services_of(app)).transfer_ownership(session, old, new)

    assert await titles(client) == ["own", "transferred"]
    assert await titles(client, tag="both") == ["own", "transferred"]
    assert await titles(client, tag="alone") == ["transferred"]


async def test_cached_pages_are_invalidated(app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached pages of the previous owner are invalidated after the commit."""
    invalidated: list[str] = []

    async def invalidate(*tags: str) -> None:
        invalidated.extend(tags)

    monkeypatch.setattr(services_of(app).cache, "invalidate", invalidate)
    handler = account_data(services_of(app))
    async with database.transaction() as session:
        await handler.delete(session, "ada")
        await handler.transfer_ownership(session, "bob", "eve")
        assert invalidated == []

    assert invalidated == [owner_tag("ada"), owner_tag("bob")]
