"""Stored responses of deleted accounts."""

from httpx2 import AsyncClient

from keel.db.database import Database
from keel.idempotency.account_data import StoredAnswerData
from keel.idempotency.route import REPLAYED
from keel.testing.identity import sign_in
from keel.tests.widgets.api import WIDGETS


async def test_responses_are_deleted_with_their_account(client: AsyncClient, database: Database) -> None:
    """They are deleted with the account, and not transferred."""
    subject = await sign_in(client)
    key = {"Idempotency-Key": "k"}
    await client.post(WIDGETS, json={"title": "once"}, headers=key)
    async with database.transaction() as session:
        await StoredAnswerData().transfer_ownership(session, subject, "heir")

    again = await client.post(WIDGETS, json={"title": "once"}, headers=key)

    assert (again.status_code, REPLAYED in again.headers) == (201, False)
