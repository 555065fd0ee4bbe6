"""Tasks of deleted and transferred accounts."""

from uuid import UUID

from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.celery.account_data import TaskAccountData
from keel.db.database import Database
from keel.testing.identity import sign_in
from keel.tests.celery.support import export, finished, stored


async def test_transfer_and_deletion(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Transferred tasks belong to the new owner; those of a deleted account are deleted with their results."""
    task = await finished(client, (await export(client))["id"])
    owner = await sign_in(client)
    async with database.transaction() as session:
        await TaskAccountData().transfer_ownership(session, owner, "heir")
    inherited = await stored(app, UUID(task["id"]))
    async with database.transaction() as session:
        await TaskAccountData().delete(session, "heir")

    assert inherited is not None
    assert inherited.owner_id == "heir"
    assert await stored(app, UUID(task["id"])) is None
