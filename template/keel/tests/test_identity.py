"""What owners import from `keel.identity`; it holds with and without sign-in."""

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
    """Use a transaction of its own, as uploads do."""
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
    """A test may replace the dependency."""
    probe.dependency_overrides[current_caller] = lambda: Caller("stub")

    assert (await anonymous.get("/probe/caller")).json() == "stub"


async def test_admin_is_refused_to_others(probe: FastAPI, client: AsyncClient) -> None:
    """A caller that is no administrator, such as the guest, is refused with a problem document."""
    answer = await client.get("/probe/admin")

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_admin_is_admitted(probe: FastAPI, admin_client: AsyncClient, client: AsyncClient) -> None:
    """Tests of owners have a client for it, beside the one that is no administrator's."""
    answers = [await each.get("/probe/admin") for each in (admin_client, client)]

    assert [answer.status_code for answer in answers] == [200, 403]


async def test_admin_may_open_a_transaction(probe: FastAPI, admin_client: AsyncClient) -> None:
    """The dependency holds none: an operation that opens one of its own would wait for it."""
    assert (await admin_client.get("/probe/admin/writing")).json() == 1


async def test_account_of_a_test(app: FastAPI, anonymous: AsyncClient) -> None:
    """It has an address, and its subject is what `sign_in` takes."""
    subject = await sign_in(anonymous, await add_account(app, "grace"))

    assert await email_of(services_of(app).database.read, subject) == "grace@example.com"


async def test_subject_without_an_address(app: FastAPI) -> None:
    """A subject without an account has no e-mail address, inside and outside of a transaction."""
    database = services_of(app).database
    async with database.transaction() as session:
        assert await email_of(session, "unknown") is None
    assert await email_of(database.read, "unknown") is None


async def test_owner_of_demonstration_rows(app: FastAPI) -> None:
    """No other account gets them by mistake."""
    with pytest.raises(LookupError, match=r"there (is|are) no account"):
        await seed_owner(app, "nobody@example.com")


async def test_caller_of_a_connection(app: FastAPI, anonymous: AsyncClient) -> None:
    """A socket or call verifies a token that comes without an HTTP header."""
    subject = await sign_in(anonymous)
    token = anonymous.headers.get("Authorization", "").removeprefix("Bearer ") or None

    assert (await verify_caller(app, token, [])).caller.subject == subject
