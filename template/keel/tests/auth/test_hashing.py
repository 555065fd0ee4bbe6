"""Password hashing is slow: other requests do not wait for it, and its concurrency is limited."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from keel.auth.accounts.passwords import Passwords
from keel.auth.models import User
from keel.auth.settings import AuthSettings
from keel.db.database import Database
from keel.services import services_of
from keel.testing.support import Outbox, calling, connections_in_use, eventually
from keel.tests.auth.fixtures import AUTH, PASSWORD, Configure, NewPerson, Person
from keel.tests.widgets.api import create

ANOTHER = "another horse, another battery"
FORM = {"username": "ada@example.com", "password": PASSWORD}


class Slow(Passwords):
    """Passwords that are hashed only once they may be, and once no connection is in use; `hashed` counts them."""

    def __init__(self, database: Database) -> None:
        super().__init__(AuthSettings.load())
        self._database = database
        self.hashed = 0
        self.waiting = 0
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def _wait(self) -> None:
        self.waiting += 1
        # Background work may hold one for a moment. The request itself would hold its own for as long as this waits.
        await eventually(lambda: connections_in_use(self._database) == 0)
        await self.may_go_on.wait()
        self.hashed += 1
        self.waiting -= 1

    async def hash(self, password: str) -> str:
        """Wait, then hash."""
        await self._wait()
        return await super().hash(password)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Wait, then verify."""
        await self._wait()
        return await super().verify(password, stored)

    async def check(self, password: str, email: str) -> None:
        """Wait, then check."""
        await self._wait()
        await super().check(password, email)


@pytest.fixture
def slow(configure: Configure) -> Iterator[Slow]:
    """Return the application's passwords."""
    services = services_of(configure(HASH_QUEUE="8"))
    slow = Slow(services.database)
    services.auth = replace(services.auth, passwords=slow)
    yield slow
    slow.may_go_on.set()


async def test_no_connection_is_held(client: AsyncClient, ada: Person, outbox: Outbox, slow: Slow) -> None:
    """No database connection is held while a password is hashed."""
    assert (await client.post(f"{AUTH}/register", json={"email": "eve@example.com"})).status_code == 202
    await eventually(lambda: outbox.mails)
    eve = {"token": outbox.mails[0].text.partition("#token=")[2].split()[0], "password": PASSWORD}
    assert (await client.post(f"{AUTH}/verify", json=eve)).status_code == 204
    assert (await client.post(f"{AUTH}/token", data=FORM)).status_code == 200
    assert (await client.post(f"{AUTH}/token", data={**FORM, "password": "wrong"})).status_code == 400
    browser = {"email": ada.email, "password": PASSWORD}
    came = await client.post(f"{AUTH}/browser/login", json=browser, headers={"X-Requested-With": "test"})
    assert came.status_code == 200
    change = {"current": PASSWORD, "new": ANOTHER}
    assert (await client.post(f"{AUTH}/password/change", json=change, headers=ada.headers)).status_code == 204
    await client.post(f"{AUTH}/password/forgot", json={"email": ada.email})
    await eventually(lambda: any("#token=" in mail.text for mail in outbox.mails if mail.to == ada.email))
    token = next(mail.text for mail in outbox.mails if mail.to == ada.email and "#token=" in mail.text)
    reset = {"token": token.partition("#token=")[2].split()[0], "password": PASSWORD}
    assert (await client.post(f"{AUTH}/password/reset", json=reset)).status_code == 204
    deletion = {"password": PASSWORD}
    assert (await client.post(f"{AUTH}/me/delete", json=deletion, headers=ada.headers)).status_code == 204

    assert slow.hashed == 11


async def test_other_requests_are_not_delayed(app: FastAPI, client: AsyncClient, ada: Person, slow: Slow) -> None:
    """A caller's share of the queue is limited; requests without a password do not wait."""
    slow.may_go_on.clear()
    attacker = calling(app)
    attempts = [asyncio.create_task(attacker.post(f"{AUTH}/token", data=FORM)) for _ in range(10)]
    await eventually(lambda: sum(attempt.done() for attempt in attempts) == 8)
    assert [attempt.result().status_code for attempt in attempts if attempt.done()] == [429] * 8
    await create(client, title="meanwhile")
    await eventually(lambda: slow.waiting == 2)
    slow.may_go_on.set()

    assert sorted([(await attempt).status_code for attempt in attempts])[:2] == [200, 200]


@pytest.mark.parametrize("change", [{"password_hash": None}, {"is_active": False}])
async def test_change_while_a_password_is_hashed(
    database: Database, anonymous: AsyncClient, new_person: NewPerson, slow: Slow, change: dict[str, object]
) -> None:
    """A password or account that changed during hashing does not log in."""
    await new_person()
    slow.may_go_on.clear()
    attempt = asyncio.create_task(anonymous.post(f"{AUTH}/token", data=FORM))
    await eventually(lambda: slow.waiting)
    async with database.transaction() as session:
        await session.execute(update(User).values(**change))
    slow.may_go_on.set()

    assert (await attempt).json()["error"] == "invalid_grant"
