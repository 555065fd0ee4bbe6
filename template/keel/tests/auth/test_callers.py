"""The caller of a request, socket or gRPC call, from its bearer token."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Security
from httpx2 import AsyncClient
from sqlalchemy import update

from keel.auth.callers import verify_caller
from keel.auth.dependencies import CurrentUser
from keel.auth.models import User
from keel.auth.personal_tokens.callers import PersonalTokenCallers
from keel.auth.problems import MissingScope, NotSignedIn
from keel.auth.sessions.access_tokens import AccessTokens
from keel.caller import Caller
from keel.identity import CallerDep, CurrentAdmin, current_caller, email_of
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.tests.auth.fixtures import AUTH, NewPerson, NewToken, Person

router = APIRouter()


@router.get("/probe/twice")
async def read_twice(
    caller: CallerDep, reader: Annotated[Caller, Security(current_caller, scopes=["widgets:read"])]
) -> list[str]:
    """Depend on the caller twice, once with a scope."""
    return [caller.subject, reader.subject]


@router.get("/probe/open")
async def read_open() -> None:
    """Depend on no caller."""


@router.get("/probe/account")
async def read_account(caller: CallerDep, user: CurrentUser, _: CurrentAdmin) -> list[str]:
    """Depend on the caller, the account and its rights."""
    return [caller.subject, user.subject]


@router.get("/probe/admin")
async def read_admin(admin: CurrentAdmin) -> str:
    """Depend on an administrator alone."""
    return admin.subject


@pytest.fixture
def probe(app: FastAPI) -> Iterator[FastAPI]:
    """Return the application with the routes above."""
    before = list(app.router.routes)
    app.include_router(router)
    yield app
    app.router.routes[:] = before


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the class names of verifiers, one entry per verification."""
    made: list[str] = []

    def watch(kind: Any) -> None:
        verify = kind.verify

        def watched(*arguments: Any) -> Any:
            made.append(kind.__name__)
            return verify(*arguments)

        monkeypatch.setattr(kind, "verify", watched)

    watch(AccessTokens)
    watch(PersonalTokenCallers)
    return made


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("path", ["twice", "account"])
async def test_access_token_is_verified_once(
    anonymous: AsyncClient, admin: Person, verifications: list[str], path: str
) -> None:
    """The rate limit and all dependencies of a request share one verification."""
    answer = await anonymous.get(f"/probe/{path}", headers=admin.headers)

    assert "RateLimit" in answer.headers
    assert answer.json() == [admin.subject, admin.subject]
    assert verifications == ["AccessTokens"]


@pytest.mark.usefixtures("probe")
async def test_personal_token_is_looked_up_once(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, verifications: list[str]
) -> None:
    """Dependencies with different scopes share one lookup; so does a revoked token, which is refused."""
    headers = {"Authorization": f"Bearer {await new_token(ada)}"}
    (stored,) = (await anonymous.get(f"{AUTH}/tokens", headers=ada.headers)).json()
    verifications.clear()
    answer = await anonymous.get("/probe/twice", headers=headers)

    assert "RateLimit" in answer.headers
    assert answer.json() == [ada.subject, ada.subject]
    assert verifications == ["PersonalTokenCallers"]
    await anonymous.delete(f"{AUTH}/tokens/{stored['id']}", headers=ada.headers)
    verifications.clear()
    assert (await anonymous.get("/probe/twice", headers=headers)).status_code == 401
    assert verifications == ["PersonalTokenCallers"]


@pytest.mark.usefixtures("probe")
async def test_unneeded_personal_token_is_not_looked_up(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, verifications: list[str]
) -> None:
    """A route that needs no caller makes no query, whatever the token."""
    token = await new_token(ada)
    verifications.clear()

    assert (await anonymous.get("/probe/open", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    assert verifications == []


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Bearer", "Bearer pat_nonsense", "Basic YTpi"])
async def test_middleware_refuses_nothing(probe: FastAPI, anonymous: AsyncClient, header: str) -> None:
    """A route that needs no caller ignores the header; one that does rejects a bad one."""
    headers = {"Authorization": header}

    assert (await anonymous.get("/probe/open", headers=headers)).status_code == 200
    answer = await anonymous.get("/probe/twice", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_dependency_can_be_overridden(probe: FastAPI, anonymous: AsyncClient) -> None:
    """Tests can override the caller."""
    probe.dependency_overrides[current_caller] = lambda: Caller("stub")

    assert (await anonymous.get("/probe/twice")).json() == ["stub", "stub"]


async def test_limit_counts_callers(app: FastAPI, client: AsyncClient, anonymous: AsyncClient) -> None:
    """Requests count for a valid token's subject, or else for the address."""
    key = services_of(app).rate_limit.key
    good = client.headers["Authorization"].encode()

    def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
        return {"type": "http", "headers": list(headers), "client": ("192.0.2.7", 1)}

    assert key(scope((b"authorization", good))) == "subject:ada"
    assert key(scope((b"authorization", good + b"x"))) == "192.0.2.7"
    assert key(scope()) == "192.0.2.7"


async def test_access_token(app: FastAPI, anonymous: AsyncClient) -> None:
    """An access token identifies its caller until it expires, for its scopes."""
    await sign_in(anonymous, "ada")
    token = anonymous.headers["Authorization"].removeprefix("Bearer ")
    verified = await verify_caller(app, token, ["widgets:read"])

    assert verified.caller.subject == "ada"
    assert verified.expires_at is not None
    assert 0 < verified.expires_at - time.time() <= 15 * 60
    with pytest.raises(MissingScope):
        await verify_caller(app, token, ["admin"])


@pytest.mark.parametrize("token", [None, "", "nonsense", "pat_nonsense"])
async def test_no_valid_token(app: FastAPI, token: str | None) -> None:
    """Without a valid token there is no caller."""
    with pytest.raises(NotSignedIn):
        await verify_caller(app, token)


async def test_personal_token(app: FastAPI, ada: Person, new_token: NewToken) -> None:
    """A personal token is looked up again after a minute, because its owner may revoke it."""
    verified = await verify_caller(app, await new_token(ada), ["widgets:read"])

    assert verified.caller.subject == ada.subject
    assert verified.expires_at is not None
    assert verified.expires_at - time.time() <= 60


async def test_email_of_a_subject(app: FastAPI, ada: Person) -> None:
    """A subject's address is found inside and outside a transaction."""
    database = services_of(app).database
    async with database.transaction() as session:
        assert await email_of(session, ada.subject) == ada.email
    assert await email_of(database.read, ada.subject) == ada.email


async def test_administrators(probe: FastAPI, anonymous: AsyncClient, ada: Person, admin: Person) -> None:
    """`CurrentAdmin` admits administrators only."""
    assert (await anonymous.get("/probe/account", headers=admin.headers)).status_code == 200
    assert (await anonymous.get("/probe/account", headers=ada.headers)).status_code == 403
    assert (await anonymous.get("/probe/account")).status_code == 401


async def test_closed_administrator(probe: FastAPI, anonymous: AsyncClient, new_person: NewPerson) -> None:
    """A closed account has no admin rights, whatever its token says."""
    person = await new_person("admin@example.com", is_admin=True)
    async with services_of(probe).database.transaction() as session:
        await session.execute(update(User).values(is_active=False))

    assert (await anonymous.get("/probe/admin", headers=person.headers)).status_code == 401
