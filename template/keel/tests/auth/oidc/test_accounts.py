"""Accounts of users who sign in with OpenID Connect."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from keel.auth.models import Identity, User
from keel.auth.oidc.problems import AccountClosed, EmailNotVerifiedByProvider
from keel.auth.oidc.provider.client import _verified_address
from keel.observability import logs
from keel.services import services_of
from keel.settings import CoreSettings
from keel.testing.support import Outbox, calling
from keel.tests.auth.fixtures import AUTH, PASSWORD, NewPerson
from keel.tests.auth.oidc.conftest import SignIn
from keel.tests.auth.oidc.support import CLIENT_SECRET, admit, code_of, count, exchange, log_in, me
from keel.tests.auth.test_accounts import mailed
from keel.tests.widgets.api import WIDGETS

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider


async def test_new_account(oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn, outbox: Outbox) -> None:
    """A new user gets a verified account, without a password and without admin rights."""
    answer = await sign_in()

    assert answer.headers["Location"].startswith("https://front.example.com/signed-in#code=")
    tokens = (await exchange(browser, code_of(answer))).json()
    granted = set(tokens["scope"].split())
    assert {"widgets:read", "widgets:write"} <= granted
    assert "admin" not in granted
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    account = (await browser.get(f"{AUTH}/me", headers=headers)).json()
    assert account["email"] == "ada@example.com"
    assert account["verified_at"] is not None
    assert account["is_admin"] is False
    assert (await browser.post(WIDGETS, json={"title": "t"}, headers=headers)).status_code == 201
    form = {"username": "ada@example.com", "password": PASSWORD}
    assert (await browser.post(f"{AUTH}/token", data=form)).json()["error"] == "invalid_grant"
    refreshed = await browser.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200
    await services_of(oidc_app).jobs.drain()
    assert outbox.mails == []


async def test_same_person_again(browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """The provider's subject identifies the account, even after a change of address."""
    first = await me(browser, code_of(await sign_in()))
    provider.knows("ada-there", email="countess@example.com", email_verified=False)

    assert await me(browser, code_of(await sign_in())) == first


async def test_reassigned_address(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """Two subjects are two accounts, even if one takes over the other's address later."""
    ada = await me(browser, await admit(oidc_app))
    bob = await me(browser, await admit(oidc_app, "bob@example.com", "bob-there"))

    assert bob["id"] != ada["id"]
    assert await me(browser, await admit(oidc_app, "ada@example.com", "bob-there")) == bob


async def test_linking(
    browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider", new_person: NewPerson
) -> None:
    """If both sides have verified the address, in any spelling, they share one account; its password still works."""
    person = await new_person()
    provider.knows("ada-there", email="ADA@Example.COM", email_verified=True)

    assert (await me(browser, code_of(await sign_in())))["subject"] == person.subject
    form = {"username": person.email, "password": PASSWORD}
    assert (await browser.post(f"{AUTH}/token", data=form)).status_code == 200


async def test_owner_is_notified(oidc_app: FastAPI, new_person: NewPerson, outbox: Outbox) -> None:
    """Linking an account notifies its owner by mail, once."""
    person = await new_person()
    await admit(oidc_app, person.email)
    told = await mailed(outbox)
    await admit(oidc_app, person.email)
    await services_of(oidc_app).jobs.drain()

    assert told.to == person.email
    assert told.subject.endswith("Another way to sign in to your account")
    assert outbox.mails == []


async def test_unconfirmed_account(
    oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn, new_person: NewPerson
) -> None:
    """An unverified registration with the same address gives no access to the account later."""
    await new_person(verified_at=None)

    answer = await sign_in()

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:problem:account-not-confirmed"
    assert "sign in with the password once" in answer.json()["detail"]
    assert await count(oidc_app, Identity) == 0


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
def test_unverified_address(claims: dict[str, object]) -> None:
    """Only valid addresses that the provider has verified count."""
    assert _verified_address({"email": "ada@example.com", "email_verified": True}) == "ada@example.com"
    assert _verified_address({"email": "ada@example.com", "email_verified": "true"}) == "ada@example.com"
    assert _verified_address(claims) is None


@pytest.mark.parametrize("known", [True, False])
async def test_person_without_a_verified_address(
    oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", new_person: NewPerson, *, known: bool
) -> None:
    """Without a verified address there is no sign-in; known and unknown addresses get the same response."""
    if known:
        await new_person()
    provider.knows("ada-there", email="ada@example.com", email_verified=False)

    answer = await sign_in()

    assert answer.status_code == 403
    assert answer.json()["type"] == EmailNotVerifiedByProvider.type
    assert await count(oidc_app, User) == known
    assert await count(oidc_app, Identity) == 0


async def test_closed_account(oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn) -> None:
    """A closed account is refused at the callback, with an earlier code, and on linking."""
    first = code_of(await sign_in())
    async with services_of(oidc_app).database.transaction() as session:
        await session.execute(update(User).values(is_active=False))

    assert (await exchange(browser, first)).json()["error"] == "invalid_grant"
    answer = await sign_in()
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:problem:account-closed"
    with pytest.raises(AccountClosed):
        await admit(oidc_app, "ada@example.com", "other-there")
    assert await count(oidc_app, Identity) == 1


async def test_closed_registration(oidc_app: FastAPI, sign_in: SignIn, new_person: NewPerson) -> None:
    """With registration disabled, existing accounts can still sign in."""
    auth = services_of(oidc_app).auth
    services_of(oidc_app).auth = replace(auth, settings=auth.settings.model_copy(update={"registration": False}))
    try:
        stranger = await sign_in()
        await new_person()
        await admit(oidc_app)
    finally:
        services_of(oidc_app).auth = auth

    assert stranger.status_code == 403
    assert stranger.json()["type"] == "urn:problem:registration-closed"
    assert await count(oidc_app, Identity) == 1


async def test_provider_grants_no_admin_rights(
    oidc_app: FastAPI, browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider"
) -> None:
    """Claims and parameters from a provider or browser never make an administrator."""
    claims = {"is_admin": True, "is_active": True, "scope": "admin", "subject": "s", "id": "1", "roles": ["admin"]}
    provider.knows("ada-there", email="ada@example.com", email_verified=True, **claims)

    code = code_of(await sign_in())

    assert (await exchange(browser, code, is_admin="true")).status_code == 422
    assert (await exchange(browser, code, scope="widgets:read")).json()["scope"] == "widgets:read"
    assert (await me(browser, await admit(oidc_app)))["is_admin"] is False
    refused = await exchange(browser, await admit(oidc_app), scope="admin")
    assert refused.json()["error"] == "invalid_scope"


async def test_administrators_keep_their_rights(oidc_app: FastAPI, browser: AsyncClient, new_person: NewPerson) -> None:
    """Administrators keep their scope when they sign in through the provider."""
    await new_person(is_admin=True)

    assert "admin" in (await exchange(browser, await admit(oidc_app))).json()["scope"].split()


async def test_deleted_account(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """Deleting an account deletes its identities at the provider."""
    first = await me(browser, await admit(oidc_app))
    async with services_of(oidc_app).database.transaction() as session:
        await session.delete(await session.get(User, UUID(str(first["id"]))))

    assert await count(oidc_app, Identity) == 0
    assert (await me(browser, await admit(oidc_app)))["id"] != first["id"]


async def test_concurrent_first_sign_ins(oidc_app: FastAPI) -> None:
    """Concurrent first sign-ins of one user create one account."""
    codes = await asyncio.gather(*(admit(oidc_app) for _ in range(5)))

    assert len({*codes}) == 5
    assert await count(oidc_app, User) == 1
    assert await count(oidc_app, Identity) == 1


async def test_audit(
    browser: AsyncClient,
    sign_in: SignIn,
    new_person: NewPerson,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log records what happened, without addresses or secrets."""
    await new_person()
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    logs.configure(CoreSettings.load())
    answer = await sign_in()
    tokens = (await exchange(browser, code_of(answer))).json()

    logged = capsys.readouterr().out
    for action in ("oidc_linked", "login"):
        assert f'"action":"{action}"' in logged
    for secret in (
        "ada@example.com",
        "ada-there",
        tokens["access_token"],
        tokens["refresh_token"],
        code_of(answer),
        CLIENT_SECRET,
    ):
        assert secret not in logged


async def test_absent_without_a_provider(app: FastAPI) -> None:
    """Without a configured provider, the routes do not exist, not even in the OpenAPI document."""
    async with calling(app) as client:
        assert (await log_in(client)).status_code == 404
    assert not [path for path in app.openapi()["paths"] if path.startswith(f"{AUTH}/oidc/")]
