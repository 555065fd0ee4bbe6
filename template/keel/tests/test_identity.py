"""The public API of `keel.identity`, with and without sign-in."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text

from keel.caller import Caller
from keel.dependencies import DatabaseDep
from keel.identity import RESPONSES, CallerDep, CurrentAdmin, current_caller, email_of, seed_owner, verify_caller
from keel.services import services_of
from keel.testing.identity import add_account, sign_in

router = APIRouter(responses=RESPONSES)


@router.get("/probe/caller")
async def read_caller(caller: CallerDep) -> str:
    """Return the caller's subject."""
    return caller.subject


@router.get("/probe/admin")
async def read_admin(admin: CurrentAdmin) -> str:
    """Return the administrator's subject."""
    return admin.subject


@router.get("/probe/admin/writing")
async def write_as_admin(_: CurrentAdmin, database: DatabaseDep) -> int:
    """Open a separate transaction, like uploads do."""
    async with database.transaction() as session:
        return await session.scalar(text("SELECT 1")) or 0


@pytest.fixture
def probe(app: FastAPI) -> Iterator[FastAPI]:
    """Return the application with the routes above."""
    before = list(app.router.routes)
    app.include_router(router)
    yield app
    app.router.routes[:] = before


async def test_caller(probe: FastAPI, anonymous: AsyncClient) -> None:
    """A route gets the caller that has signed in."""
    subject = await sign_in(anonymous)

    assert (await anonymous.get("/probe/caller")).json() == subject


async def test_caller_can_be_overridden(probe: FastAPI, anonymous: AsyncClient) -> None:
    """Tests can override the dependency."""
    probe.dependency_overrides[current_caller] = lambda: Caller("stub")

    assert (await anonymous.get("/probe/caller")).json() == "stub"


async def test_non_administrators_are_refused(probe: FastAPI, client: AsyncClient) -> None:
    """A caller who is no administrator, such as the guest, gets a problem document."""
    answer = await client.get("/probe/admin")

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_administrators_are_admitted(probe: FastAPI, admin_client: AsyncClient, client: AsyncClient) -> None:
    """The fixture `admin_client` is signed in as an administrator."""
    answers = [await each.get("/probe/admin") for each in (admin_client, client)]

    assert [answer.status_code for answer in answers] == [200, 403]


async def test_admin_may_open_a_transaction(probe: FastAPI, admin_client: AsyncClient) -> None:
    """The dependency holds none, which would deadlock with the operation's own."""
    assert (await admin_client.get("/probe/admin/writing")).json() == 1


async def test_account_of_a_test(app: FastAPI, anonymous: AsyncClient) -> None:
    """It has an address, and its subject works with `sign_in`."""
    subject = await sign_in(anonymous, await add_account(app, "grace"))

    assert await email_of(services_of(app).database.read, subject) == "grace@example.com"


async def test_subject_without_an_address(app: FastAPI) -> None:
    """A subject without an account has no e-mail address, inside and outside of a transaction."""
    database = services_of(app).database
    async with database.transaction() as session:
        assert await email_of(session, "unknown") is None
    assert await email_of(database.read, "unknown") is None


async def test_owner_of_demonstration_rows(app: FastAPI) -> None:
    """Demonstration rows never go to another account by mistake."""
    with pytest.raises(LookupError, match=r"there (is|are) no account"):
        await seed_owner(app, "nobody@example.com")


async def test_caller_of_a_connection(app: FastAPI, anonymous: AsyncClient) -> None:
    """A socket or call verifies a token that did not arrive in an HTTP header."""
    subject = await sign_in(anonymous)
    token = anonymous.headers.get("Authorization", "").removeprefix("Bearer ") or None

    assert (await verify_caller(app, token, [])).caller.subject == subject
