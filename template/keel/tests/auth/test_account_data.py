"""Rows that packages add for each new account."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.auth.accounts.account_data import AccountData
from keel.db.database import Session
from keel.services import services_of
from keel.tests.auth.fixtures import AUTH


class Profiles:
    """A package that has a profile of each account."""

    def __init__(self) -> None:
        self.created: list[tuple[str, str]] = []
        self.fails = False

    async def create(self, session: Session, subject: str, email: str) -> None:
        """Remember a new account, or fail."""
        assert session.in_transaction()
        if self.fails:
            raise RuntimeError("no profile")
        self.created.append((subject, email))

    async def delete(self, session: Session, subject: str) -> None:
        """Keep it."""

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Keep it."""


@pytest.fixture
def profiles(app: FastAPI) -> Iterator[Profiles]:
    """Return the package; no other takes part."""
    services, found = services_of(app), Profiles()
    auth = services.auth
    services.auth = replace(auth, account_data=AccountData(lambda: [found]))
    yield found
    services.auth = auth


async def test_registration(client: AsyncClient, profiles: Profiles) -> None:
    """A new account has its rows; a second registration of the address adds none."""
    for _ in range(2):
        answer = await client.post(f"{AUTH}/register", json={"email": "new@example.com"})
        assert answer.status_code == 202

    assert [email for _, email in profiles.created] == ["new@example.com"]


async def test_what_fails_undoes_the_registration(app: FastAPI, client: AsyncClient, profiles: Profiles) -> None:
    """The account and its rows are one transaction."""
    profiles.fails = True
    answer = await client.post(f"{AUTH}/register", json={"email": "new@example.com"})
    assert answer.status_code == 500

    profiles.fails = False
    await client.post(f"{AUTH}/register", json={"email": "new@example.com"})
    assert [email for _, email in profiles.created] == ["new@example.com"]
