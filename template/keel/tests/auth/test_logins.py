"""Logins: password grant, refresh, reuse detection, revocation, limits."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select, update

from keel import clock
from keel.auth.accounts.passwords import Passwords
from keel.auth.models import LoginSession, RefreshToken, User
from keel.auth.settings import AuthSettings
from keel.db.database import Database
from keel.services import services_of
from keel.testing.identity import NO_SESSION
from keel.tests.auth.fixtures import AUTH, PASSWORD, Configure, NewPerson, Person
from keel.tests.widgets.api import WIDGETS
from keel.web.rate_limit import Rate, Window


async def refresh(client: AsyncClient, token: str) -> int:
    """Try to refresh; return the status."""
    return (await client.post(f"{AUTH}/refresh", json={"refresh_token": token})).status_code


async def test_token_response(anonymous: AsyncClient, ada: Person) -> None:
    """The response is what OAuth clients expect, and is not cached."""
    answer = await anonymous.post(f"{AUTH}/token", data={"username": ada.email, "password": PASSWORD})

    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == 900
    granted = set(answer.json()["scope"].split())
    assert {"widgets:read", "widgets:write"} <= granted
    assert "admin" not in granted
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "fields",
    [{"username": "nobody@example.com"}, {"password": "wrong"}, {"username": "x" * 320}],
)
async def test_wrong_credentials(anonymous: AsyncClient, ada: Person, fields: dict[str, str]) -> None:
    """Every kind of wrong credentials gets the same response (RFC 6749)."""
    form = {"username": ada.email, "password": PASSWORD, **fields}

    answer = await anonymous.post(f"{AUTH}/token", data=form)

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert answer.json()["type"] == "urn:problem:wrong-credentials"


@pytest.mark.parametrize(
    ("request_", "missing"),
    [
        ({"json": {"username": "ada@example.com", "password": PASSWORD}}, "username, password"),
        ({}, "username, password"),
        ({"data": {"username": "ada@example.com"}}, "password"),
        ({"data": {"username": "", "password": PASSWORD}}, "username"),
        ({"data": {"grant_type": "refresh_token", "username": "ada@example.com"}}, "refresh_token"),
    ],
)
async def test_incomplete_requests(anonymous: AsyncClient, request_: dict[str, Any], missing: str) -> None:
    """JSON bodies and missing fields get `invalid_request`, not `invalid_grant` (RFC 6749, 5.2)."""
    answer = await anonymous.post(f"{AUTH}/token", **request_)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.json()["type"] == "urn:problem:incomplete-token-request"
    assert answer.json()["detail"].endswith(f"missing: {missing}.")
    assert "application/x-www-form-urlencoded" in answer.json()["error_description"]


async def test_closed_account_cannot_log_in(anonymous: AsyncClient, new_person: NewPerson) -> None:
    """The response does not reveal the account."""
    person = await new_person(is_active=False)
    form = {"username": person.email, "password": PASSWORD}

    assert (await anonymous.post(f"{AUTH}/token", data=form)).json()["error"] == "invalid_grant"


async def test_scopes_can_be_narrowed(anonymous: AsyncClient, ada: Person) -> None:
    """A token has only the requested scopes."""
    form = {"username": ada.email, "password": PASSWORD, "scope": "widgets:read"}
    narrow = await anonymous.post(f"{AUTH}/token", data=form)

    headers = {"Authorization": f"Bearer {narrow.json()['access_token']}"}
    assert (await anonymous.get(WIDGETS, headers=headers)).status_code == 200
    refused = await anonymous.post(WIDGETS, json={"title": "t"}, headers=headers)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:problem:missing-scope"
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


async def test_account_needs_a_scope_of_its_own(app: FastAPI, anonymous: AsyncClient, ada: Person) -> None:
    """A login restricted to one resource cannot see or change the account; it can log itself out."""
    form = {"username": ada.email, "password": PASSWORD, "scope": "widgets:read"}
    narrow = (await anonymous.post(f"{AUTH}/token", data=form)).json()
    headers = {"Authorization": f"Bearer {narrow['access_token']}"}
    types: dict[str, str] = {}
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if path.startswith(f"{AUTH}/") and "security" in operation and path != f"{AUTH}/logout":
                url = path.format_map(dict.fromkeys(("session_id", "token_id"), NO_SESSION))
                answer = await anonymous.request(method, url, headers=headers, json={})
                types[f"{method} {path.removeprefix(AUTH)}"] = answer.json()["type"]

    expected = {"get /me", "post /me/delete", "post /password/change", "get /sessions", "delete /sessions"}
    expected |= {"delete /sessions/{session_id}", "get /tokens", "post /tokens", "delete /tokens/{token_id}"}
    assert set(types) == expected
    assert set(types.values()) == {"urn:problem:missing-scope"}
    assert (await anonymous.post(f"{AUTH}/logout", headers=headers)).status_code == 204


async def test_counted_addresses_cannot_be_read(
    app: FastAPI, anonymous: AsyncClient, ada: Person, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters of attempts contain no address, in memory and in Redis."""
    configure(RATE_LIMIT_PER_ACCOUNT="5/minute", RATE_LIMIT_PER_IP="5/minute")
    storage, keys = services_of(app).rate_limit.storage, list[str]()
    hit = storage.hit

    async def counted(key: str, rates: Sequence[Rate]) -> list[Window]:
        keys.append(key)
        return await hit(key, rates)

    monkeypatch.setattr(storage, "hit", counted)
    await anonymous.post(f"{AUTH}/token", data={"username": ada.email, "password": "wrong"})
    await anonymous.post(f"{AUTH}/password/forgot", json={"email": ada.email})

    assert any(key.startswith("login:") for key in keys)
    assert not [key for key in keys if "@" in key or "ada" in key]


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("widgets:read admin", {"scope": "widgets:read"}),
        ("admin", {"error": "invalid_scope"}),
        ("widgets:read everything", {"error": "invalid_scope"}),
    ],
)
async def test_scopes_that_are_not_granted(
    anonymous: AsyncClient, ada: Person, wanted: str, answer: dict[str, str]
) -> None:
    """Scopes that the account lacks are not granted, and the response says so."""
    form = {"username": ada.email, "password": PASSWORD, "scope": wanted}

    given = (await anonymous.post(f"{AUTH}/token", data=form)).json()

    assert answer.items() <= given.items()


async def test_login_expires_despite_refreshes(anonymous: AsyncClient, ada: Person, database: Database) -> None:
    """A login expires after its maximum lifetime, however often it is refreshed."""
    began = clock.now() - timedelta(days=89)
    async with database.transaction() as session:
        await session.execute(update(LoginSession).values(created_at=began))

    await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]})

    (login,) = await database.read.all(select(LoginSession.__table__.c.expires_at))
    assert login.expires_at == began + timedelta(days=90)


async def test_refreshing(anonymous: AsyncClient, ada: Person) -> None:
    """A refresh token is exchanged for new tokens with the same scope, by JSON or by OAuth's form."""
    first = await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    second = await anonymous.post(f"{AUTH}/token", data=form)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["scope"] == ada.tokens["scope"]
    assert len({ada.tokens["refresh_token"], first.json()["refresh_token"], second.json()["refresh_token"]}) == 3


async def test_reuse_ends_the_whole_family(anonymous: AsyncClient, ada: Person) -> None:
    """Reuse of a refresh token revokes the login, for the thief and the owner."""
    stolen = ada.tokens["refresh_token"]
    current = (await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": stolen})).json()["refresh_token"]

    assert await refresh(anonymous, stolen) == 400
    assert await refresh(anonymous, current) == 400


async def test_racing_refreshes(anonymous: AsyncClient, ada: Person) -> None:
    """Of concurrent refreshes with one token at most one succeeds, and its tokens are then revoked."""
    token = ada.tokens["refresh_token"]
    answers = await asyncio.gather(
        *(anonymous.post(f"{AUTH}/refresh", json={"refresh_token": token}) for _ in range(8))
    )

    succeeded = [answer for answer in answers if answer.status_code == 200]
    assert len(succeeded) == 1
    assert await refresh(anonymous, succeeded[0].json()["refresh_token"]) == 400


async def test_other_logins_survive_a_reuse(anonymous: AsyncClient, ada: Person) -> None:
    """Other logins of the account stay valid."""
    form = {"username": ada.email, "password": PASSWORD}
    other = (await anonymous.post(f"{AUTH}/token", data=form)).json()
    for _ in range(2):
        await refresh(anonymous, ada.tokens["refresh_token"])

    assert await refresh(anonymous, other["refresh_token"]) == 200


@pytest.mark.parametrize("token", ["nonsense", "x" * 200, "ä"])
async def test_unknown_refresh_token(anonymous: AsyncClient, token: str) -> None:
    """An unknown token is refused."""
    assert await refresh(anonymous, token) == 400


async def test_idle_login_ends(anonymous: AsyncClient, ada: Person, database: Database) -> None:
    """An idle login expires."""
    async with database.transaction() as session:
        await session.execute(update(LoginSession).values(expires_at=clock.now() - timedelta(seconds=1)))

    assert await refresh(anonymous, ada.tokens["refresh_token"]) == 400


async def test_refresh_tokens_are_not_stored(ada: Person, database: Database) -> None:
    """Only digests of refresh tokens are stored."""
    (stored,) = await database.read.all(select(RefreshToken.__table__.c.digest))

    assert len(stored.digest) == 32
    assert ada.tokens["refresh_token"].encode() not in stored.digest


async def test_sessions(anonymous: AsyncClient, ada: Person) -> None:
    """Users list their logins, and end one or all of them."""
    form = {"username": ada.email, "password": PASSWORD}
    other = (await anonymous.post(f"{AUTH}/token", data=form, headers={"User-Agent": "Phone"})).json()
    sessions = (await anonymous.get(f"{AUTH}/sessions", headers=ada.headers)).json()
    phone = next(item for item in sessions if item["user_agent"] == "Phone")

    ended = [await anonymous.delete(f"{AUTH}/sessions/{phone['id']}", headers=ada.headers) for _ in range(2)]

    assert len(sessions) == 2
    assert [answer.status_code for answer in ended] == [204, 404]
    assert await refresh(anonymous, other["refresh_token"]) == 400
    await anonymous.delete(f"{AUTH}/sessions", headers=ada.headers)
    assert await refresh(anonymous, ada.tokens["refresh_token"]) == 400


async def test_sessions_of_others(anonymous: AsyncClient, ada: Person, new_person: NewPerson) -> None:
    """Other users' logins cannot be listed or ended."""
    eve = await new_person("eve@example.com")
    (session,) = (await anonymous.get(f"{AUTH}/sessions", headers=ada.headers)).json()

    answer = await anonymous.delete(f"{AUTH}/sessions/{session['id']}", headers=eve.headers)

    assert answer.status_code == 404
    assert await refresh(anonymous, ada.tokens["refresh_token"]) == 200


async def test_logging_out(anonymous: AsyncClient, ada: Person) -> None:
    """Logging out ends this login."""
    answer = await anonymous.post(f"{AUTH}/logout", headers=ada.headers)

    assert answer.status_code == 204
    assert await refresh(anonymous, ada.tokens["refresh_token"]) == 400


async def test_brute_force(new_person: NewPerson, anonymous: AsyncClient, configure: Configure) -> None:
    """After some failures an account, existing or not, is locked for a while; other accounts are not."""
    await new_person()
    await new_person("grace@example.com")
    configure(RATE_LIMIT_PER_ACCOUNT="2/hour")

    async def attempt(email: str, password: str) -> int:
        return (await anonymous.post(f"{AUTH}/token", data={"username": email, "password": password})).status_code

    assert [await attempt("ada@example.com", "wrong") for _ in range(3)] == [400, 400, 429]
    assert await attempt("ada@example.com", PASSWORD) == 429
    assert [await attempt("nobody@example.com", "wrong") for _ in range(3)] == [400, 400, 429]
    # Those who know their password are not counted.
    assert [await attempt("grace@example.com", PASSWORD) for _ in range(4)] == [200] * 4


async def test_many_accounts_from_one_address(anonymous: AsyncClient, configure: Configure) -> None:
    """Attempts from one address are limited across all accounts."""
    configure(RATE_LIMIT_PER_IP="2/hour")
    statuses = [
        (await anonymous.post(f"{AUTH}/token", data={"username": f"{i}@example.com", "password": "x"})).status_code
        for i in range(3)
    ]

    assert statuses == [400, 400, 429]


async def test_hash_is_renewed(anonymous: AsyncClient, ada: Person, database: Database, configure: Configure) -> None:
    """When the hashing parameters are raised, a login replaces the weaker hash."""
    configure(HASH_TIME="2")
    form = {"username": ada.email, "password": PASSWORD}
    assert (await anonymous.post(f"{AUTH}/token", data=form)).status_code == 200

    stored = await database.read.scalar(select(User.__table__.c.password_hash))
    assert ",t=2," in stored
    assert (await Passwords(AuthSettings.load()).verify(PASSWORD, stored)) == (True, None)


async def test_unicode_normalization_of_passwords(new_person: NewPerson, anonymous: AsyncClient) -> None:
    """A password is the same in any Unicode normalization form."""
    passwords = Passwords(AuthSettings.load())
    await new_person(password_hash=await passwords.hash("Ünder the Ångström bridge"))

    form = {"username": "ada@example.com", "password": "U\u0308nder the A\u030angstro\u0308m bridge"}

    assert (await anonymous.post(f"{AUTH}/token", data=form)).status_code == 200
