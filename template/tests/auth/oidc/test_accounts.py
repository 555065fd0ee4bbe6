"""Whose account somebody gets."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, select, update

from app.auth.models import Identity, User
from app.auth.oidc.provider import Person
from app.auth.oidc.service import SignInService
from app.main import create_app
from tests.auth.fixtures import AUTH, PASSWORD, NewPerson
from tests.auth.oidc.conftest import SignIn
from tests.auth.oidc.support import CHALLENGE, OIDC, code_of, exchange, go_through, me
from tests.support import calling, running

if TYPE_CHECKING:
    from tests.auth.oidc.provider import LoopbackProvider


async def count(app: FastAPI, model: type) -> int:
    """Return how many rows a table has."""
    async with app.state.database.transaction() as session:
        return (await session.scalars(select(func.count()).select_from(model))).one()


async def test_new_account(oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn) -> None:
    """Somebody new has an account at once: verified, without a password, without rights that others do not have."""
    answer = await sign_in()

    assert answer.headers["Location"].startswith("https://front.example.com/signed-in#code=")
    tokens = (await exchange(browser, answer)).json()
    assert tokens["scope"] == "notes:read notes:write"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    account = (await browser.get(f"{AUTH}/me", headers=headers)).json()
    assert account["email"] == "ada@example.com"
    assert account["verified_at"] is not None
    assert account["is_admin"] is False
    assert (await browser.post("/api/v1/notes", json={"title": "t"}, headers=headers)).status_code == 201
    form = {"username": "ada@example.com", "password": PASSWORD}
    assert (await browser.post(f"{AUTH}/token", data=form)).json()["error"] == "invalid_grant"
    refreshed = await browser.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200


async def test_same_person_again(browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """The provider's subject says who somebody is, even when their address has changed or is not verified any more."""
    first = await me(browser, await sign_in())
    provider.knows("ada-there", email="countess@example.com", email_verified=False)

    assert await me(browser, await sign_in()) == first


async def test_address_that_passed_on(
    browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider", new_person: NewPerson
) -> None:
    """Two people of one provider are two, also if one gets the address of the other's account later."""
    ada = await me(browser, await sign_in())
    provider.knows("bob-there", email="bob@example.com", email_verified=True)
    bob = await me(browser, await sign_in("bob-there"))
    provider.knows("bob-there", email="ada@example.com", email_verified=True)

    assert bob["id"] != ada["id"]
    assert await me(browser, await sign_in("bob-there")) == bob


async def test_linking(browser: AsyncClient, sign_in: SignIn, new_person: NewPerson) -> None:
    """Where both sides have verified the address, the account is one; its password goes on working."""
    person = await new_person()

    assert (await me(browser, await sign_in()))["subject"] == person.subject
    form = {"username": person.email, "password": PASSWORD}
    assert (await browser.post(f"{AUTH}/token", data=form)).status_code == 200


async def test_address_in_another_spelling(
    browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider", new_person: NewPerson
) -> None:
    """The provider's spelling is brought into ours before accounts are looked for."""
    person = await new_person()
    provider.knows("ada-there", email="ADA@Example.COM", email_verified=True)

    assert (await me(browser, await sign_in()))["subject"] == person.subject


async def test_unconfirmed_account(
    oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn, new_person: NewPerson
) -> None:
    """Whoever registered an address first, without proving it, does not get into the account of its owner later."""
    await new_person(verified_at=None)

    answer = await sign_in()

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:problem:account-not-confirmed"
    assert "sign in with the password first" in answer.json()["detail"]
    assert await count(oidc_app, Identity) == 0


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "claims",
    [
        {"email": "ada@example.com", "email_verified": False},
        {"email": "ada@example.com"},
        {"email": "ada@example.com", "email_verified": "yes"},
        {"email": "ada@example.com", "email_verified": 2},
        {"email": "ada", "email_verified": True},
        {"email": ["ada@example.com"], "email_verified": True},
        {"email": "ad\u0430@example.com", "email_verified": True},
        {"email_verified": True},
        {},
    ],
)
async def test_address_that_nobody_vouches_for(
    oidc_app: FastAPI,
    sign_in: SignIn,
    provider: "LoopbackProvider",
    new_person: NewPerson,
    claims: dict[str, object],
    *,
    known: bool,
) -> None:
    """Without the provider's word there is no account, and no way into one; known addresses are answered like others."""
    if known:
        await new_person()
    provider.knows("ada-there", **claims)

    answer = await sign_in()

    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:problem:address-not-vouched-for"
    assert await count(oidc_app, User) == known
    assert await count(oidc_app, Identity) == 0


async def test_closed_account(
    oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider"
) -> None:
    """A closed account lets nobody in: neither at the callback, nor with a code from before, nor by linking."""
    first = await sign_in()
    async with oidc_app.state.database.transaction() as session:
        await session.execute(update(User).values(is_active=False))
    provider.knows("other-there", email="ada@example.com", email_verified=True)

    assert (await exchange(browser, first)).json()["error"] == "invalid_grant"
    for sub in ("ada-there", "other-there"):
        answer = await sign_in(sub)
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:problem:account-closed"
    assert await count(oidc_app, Identity) == 1


async def test_closed_registration(
    oidc_app: FastAPI, sign_in: SignIn, new_person: NewPerson, provider: "LoopbackProvider"
) -> None:
    """Where strangers cannot register, the provider's people who have an account still come in."""
    auth = oidc_app.state.auth
    closed = auth.settings.model_copy(update={"registration": False})
    oidc_app.state.auth = type(auth)(**{name: getattr(auth, name) for name in auth.__slots__} | {"settings": closed})
    try:
        stranger = await sign_in()
        await new_person()
        known = await sign_in()
    finally:
        oidc_app.state.auth = auth

    assert stranger.status_code == 403
    assert stranger.json()["type"] == "urn:problem:registration-closed"
    assert known.status_code == 303


async def test_rights_are_ours_to_give(browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """Nothing that a provider or a browser adds makes an administrator."""
    claims = {"is_admin": True, "is_active": True, "scope": "admin", "subject": "s", "id": "1", "roles": ["admin"]}
    provider.knows("ada-there", email="ada@example.com", email_verified=True, **claims)

    answer = await sign_in()

    assert (await exchange(browser, answer, is_admin="true")).status_code == 422
    assert (await exchange(browser, answer, scope="notes:read")).json()["scope"] == "notes:read"
    refused = await exchange(browser, await sign_in(), scope="admin")
    assert refused.json()["error"] == "invalid_scope"
    assert (await me(browser, await sign_in()))["is_admin"] is False


async def test_administrators_keep_their_rights(browser: AsyncClient, sign_in: SignIn, new_person: NewPerson) -> None:
    """Who administers here, by our own word, does so however they sign in."""
    await new_person(is_admin=True)

    assert "admin" in (await exchange(browser, await sign_in())).json()["scope"].split()


async def test_deleted_account(oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn) -> None:
    """With an account goes what the provider's subject was remembered for."""
    first = await me(browser, await sign_in())
    async with oidc_app.state.database.transaction() as session:
        await session.delete(await session.get(User, UUID(str(first["id"]))))

    assert await count(oidc_app, Identity) == 0
    assert (await me(browser, await sign_in()))["id"] != first["id"]


async def test_twice_at_once(oidc_app: FastAPI) -> None:
    """Somebody new who comes twice at the same moment has one account."""
    person = Person("https://id.example", "ada-there", "ada@example.com")
    auth = oidc_app.state.auth

    async def come() -> str:
        async with oidc_app.state.database.transaction() as session:
            logins: object = None
            service = SignInService(session, settings=auth.settings, audit=auth.audit, logins=logins)  # ty: ignore[invalid-argument-type]
            return await service.admit(person, CHALLENGE)

    assert len({*await asyncio.gather(*(come() for _ in range(5)))}) == 5
    assert await count(oidc_app, User) == 1
    assert await count(oidc_app, Identity) == 1


async def test_audit(
    oidc_app: FastAPI,
    new_person: NewPerson,
    provider: "LoopbackProvider",
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log says what happened, and holds neither addresses nor anything that opens a door."""
    await new_person()
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    monkeypatch.setenv("AUTH_OIDC_ISSUER", provider.url)
    monkeypatch.setenv("AUTH_OIDC_CLIENT_ID", "harbour")
    monkeypatch.setenv("AUTH_OIDC_CLIENT_SECRET", "a secret of the tests")
    app = create_app()
    async with running(app, signed_in=False) as client:
        answer = await go_through(client, provider)
        tokens = (await exchange(client, answer)).json()

    logged = capsys.readouterr().out
    for action in ("oidc_linked", "login"):
        assert f'"action":"{action}"' in logged
    for secret in (
        "ada@example.com",
        "ada-there",
        tokens["access_token"],
        tokens["refresh_token"],
        code_of(answer),
        "a secret of the tests",
    ):
        assert secret not in logged


async def test_absent_without_a_provider(app: FastAPI) -> None:
    """Where no provider is set there is nothing of it, not even in the documentation."""
    async with calling(app) as client:
        assert (await client.get(f"{OIDC}/login", params={"code_challenge": CHALLENGE})).status_code == 404
    assert "oidc" not in str(app.openapi()["paths"])
