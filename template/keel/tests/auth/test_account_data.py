"""Rows that packages add for each new account, and delete or transfer with it."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Table, event

from keel.auth.accounts.account_data import AccountData
from keel.db.database import Session
from keel.db.models import Base, load_models
from keel.services import services_of
from keel.tests.auth.fixtures import AUTH


class Profiles:
    """A package with a profile for each account."""

    def __init__(self) -> None:
        self.created: list[tuple[str, str]] = []
        self.fails = False

    async def create(self, session: Session, subject: str, email: str) -> None:
        """Record a new account, or fail."""
        assert session.in_transaction()
        if self.fails:
            raise RuntimeError("no profile")
        self.created.append((subject, email))

    async def delete(self, session: Session, subject: str) -> None:
        """Do nothing."""

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Do nothing."""


@pytest.fixture
def profiles(app: FastAPI) -> Iterator[Profiles]:
    """Return the package, as the only one with account data."""
    services, found = services_of(app), Profiles()
    auth = services.auth
    services.auth = replace(auth, account_data=AccountData(lambda: [found]))
    yield found
    services.auth = auth


async def test_registration(client: AsyncClient, profiles: Profiles) -> None:
    """A new account gets its rows; registering the address again adds none."""
    for _ in range(2):
        answer = await client.post(f"{AUTH}/register", json={"email": "new@example.com"})
        assert answer.status_code == 202

    assert [email for _, email in profiles.created] == ["new@example.com"]


async def test_failing_handler_rolls_back_the_registration(
    app: FastAPI, client: AsyncClient, profiles: Profiles
) -> None:
    """The account and its rows are one transaction."""
    profiles.fails = True
    answer = await client.post(f"{AUTH}/register", json={"email": "new@example.com"})
    assert answer.status_code == 500

    profiles.fails = False
    await client.post(f"{AUTH}/register", json={"email": "new@example.com"})
    assert [email for _, email in profiles.created] == ["new@example.com"]


FORGOTTEN = """Nothing does this to {tables}, whose rows belong to accounts (`owner_id`). Let the module `account_data` of the
package do it, as `keel/docs/adding-a-resource.md` shows, or say in the model why the rows stay:
mapped_column(..., info={{"stays": "invoices are kept for ten years"}})"""


@pytest.mark.parametrize("what", ["delete", "transfer_ownership"])
async def test_every_table_of_an_owner_is_considered(app: FastAPI, what: str) -> None:
    """When an account goes or changes, a statement names each table that has owners, unless the model says why not.

    Where a module of an example is left out since the example was reshaped, `python -m app settings --check` tells.
    """
    services, named = services_of(app), set[str]()
    left_out = tuple(f"{package.name}." for package in services.packages if package.missing("account_data"))
    load_models("keel", "app")
    tables = [m.local_table for m in Base.registry.mappers if not m.class_.__module__.startswith(left_out)]
    owned = [table for table in tables if isinstance(table, Table) and "owner_id" in table.columns]

    def note(_: object, __: object, statement: str, *___: object) -> None:
        named.update(re.findall(r"\w+", statement))

    engine = services.database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        async with services.database.transaction() as session:
            subjects = ("no such account", "another one")[: 1 if what == "delete" else 2]
            await getattr(services.auth.account_data, what)(session, *subjects)
    finally:
        event.remove(engine, "before_cursor_execute", note)

    forgotten = [table.name for table in owned if table.name not in named and "stays" not in table.c.owner_id.info]
    assert not forgotten, FORGOTTEN.format(tables=", ".join(forgotten))
