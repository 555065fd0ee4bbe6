"""Personal access tokens: creation, scopes, expiry, revocation."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select, update

from keel import clock
from keel.auth.digests import digest
from keel.auth.models import PersonalToken, User
from keel.db.database import Database
from keel.services import services_of
from keel.testing.support import Outbox
from keel.tests.auth.fixtures import AUTH, PASSWORD, Configure, NewPerson, NewToken, Person
from keel.tests.auth.personal import READ, TOKENS, bearer, create, status
from keel.tests.auth.test_accounts import OTHER_PASSWORD, mailed, token_in
from keel.tests.widgets.api import WIDGETS


async def test_token_acts_as_its_owner(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """A token's requests belong to its owner."""
    token = await new_token(ada, scope="widgets:read widgets:write")
    made = await anonymous.post(WIDGETS, json={"title": "by a machine"}, headers=bearer(token))
    seen = (await anonymous.get(WIDGETS, headers=ada.headers)).json()["items"]

    assert made.status_code == 201
    assert [widget["title"] for widget in seen] == ["by a machine"]
    assert (await anonymous.get(f"{WIDGETS}/{made.json()['id']}", headers=bearer(token))).status_code == 200


async def test_response(anonymous: AsyncClient, ada: Person, outbox: Outbox) -> None:
    """The response shows the token once and is not cached; the owner is notified by mail."""
    answer = await create(anonymous, ada, name="backup", scope=f"{READ} {READ}")
    token = answer.json()

    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(token) == {"id", "name", "hint", "scope", "created_at", "expires_at", "last_used_at", "token"}
    assert (token["name"], token["scope"], token["last_used_at"]) == ("backup", READ, None)
    assert token["token"].startswith("pat_")
    assert token["token"].endswith(token["hint"])
    mail = await mailed(outbox)
    assert mail.to == ada.email
    assert token["token"] not in mail.text + mail.html


async def test_list_shows_no_secret(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, new_person: NewPerson
) -> None:
    """Users see their own tokens, newest first, without secrets."""
    tokens = [await new_token(ada), await new_token(ada)]
    await new_token(await new_person("eve@example.com"))

    answer = await anonymous.get(TOKENS, headers=ada.headers)

    assert [item["hint"] for item in answer.json()] == [token[-4:] for token in reversed(tokens)]
    for token in tokens:
        assert token[4:-6] not in answer.text
        assert digest(token).hex() not in answer.text


async def test_only_a_digest_is_stored(ada: Person, new_token: NewToken, database: Database) -> None:
    """Only a digest is stored."""
    token = await new_token(ada)

    row = await database.read.first(select(PersonalToken.__table__))

    assert row is not None
    assert row.digest == digest(token)
    assert token[4:-6] not in repr(tuple(row))


async def test_refused_requests(anonymous: AsyncClient, ada: Person) -> None:
    """A token needs scopes, an expiry and a name, and cannot exceed its creator's scopes."""
    for scope in ("widgets:read unheard-of", "admin", "account"):
        assert (await create(anonymous, ada, scope=scope)).json()["type"] == "urn:problem:invalid-scope", scope
    bodies: list[dict[str, Any]] = [
        *({"scope": scope} for scope in ("", " ", None, 'widgets:read"')),
        *({"name": name} for name in ("", "a\x00b", "x" * 101)),
        *({"days": days} for days in (0, 367)),
        {"expires_at": None},
        {"user_id": str(UUID(int=1))},
    ]
    for body in bodies:
        assert (await create(anonymous, ada, **body)).json()["type"] == "urn:problem:invalid-request", body

    assert (await anonymous.get(TOKENS, headers=ada.headers)).json() == []


async def test_restricted_login_creates_restricted_tokens(
    anonymous: AsyncClient, ada: Person, new_token: NewToken
) -> None:
    """A read-only login cannot create a token that writes, even if its owner could."""
    form = {"username": ada.email, "password": PASSWORD, "scope": f"{READ} account"}
    narrow = Person(ada.email, ada.subject, (await anonymous.post(f"{AUTH}/token", data=form)).json())

    assert (await create(anonymous, narrow, scope="widgets:write")).json()["type"] == "urn:problem:invalid-scope"
    reading = bearer(await new_token(narrow))
    assert (await anonymous.get(WIDGETS, headers=reading)).status_code == 200
    refused = await anonymous.post(WIDGETS, json={"title": "x"}, headers=reading)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:problem:missing-scope"


@pytest.mark.parametrize(("asked", "days"), [(None, 30), (1, 1), (366, 366)])
async def test_lifetime(anonymous: AsyncClient, ada: Person, asked: int | None, days: int) -> None:
    """Every token expires."""
    token = (await create(anonymous, ada, days=asked)).json()

    lifetime = datetime.fromisoformat(token["expires_at"]) - datetime.fromisoformat(token["created_at"])
    assert lifetime == timedelta(days=days)


async def test_operators_set_bounds(anonymous: AsyncClient, ada: Person, configure: Configure) -> None:
    """Settings limit the lifetime and number of tokens; expired ones do not count."""
    app = configure(PERSONAL_TOKEN_DAYS="7", PERSONAL_TOKENS_MAX="2")
    assert (await create(anonymous, ada, days=8)).json()["type"] == "urn:problem:token-lifetime-too-long"
    first = (await create(anonymous, ada)).json()
    assert datetime.fromisoformat(first["expires_at"]) < clock.now() + timedelta(days=7)
    assert (await create(anonymous, ada)).status_code == 201
    assert (await create(anonymous, ada)).json()["type"] == "urn:problem:too-many-personal-tokens"
    async with services_of(app).database.transaction() as session:
        await session.execute(update(PersonalToken).values(expires_at=clock.now()))
    assert (await create(anonymous, ada)).status_code == 201


async def test_maximum_holds_for_concurrent_requests(anonymous: AsyncClient, ada: Person, configure: Configure) -> None:
    """Concurrent requests cannot exceed the maximum."""
    configure(PERSONAL_TOKENS_MAX="2")
    answers = await asyncio.gather(*[create(anonymous, ada) for _ in range(6)])

    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 4


async def test_ended_login_creates_no_token(anonymous: AsyncClient, ada: Person) -> None:
    """An access token that outlives its login cannot create a personal token."""
    await anonymous.post(f"{AUTH}/logout", headers=ada.headers)

    assert (await create(anonymous, ada)).status_code == 401


async def test_revoking(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """A revoked token is refused at once; others stay valid."""
    kept, token = await new_token(ada), await new_token(ada)
    (newest, _) = (await anonymous.get(TOKENS, headers=ada.headers)).json()
    assert await status(anonymous, token) == 200

    answers = [await anonymous.delete(f"{TOKENS}/{newest['id']}", headers=ada.headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert await status(anonymous, token) == 401
    assert await status(anonymous, kept) == 200


async def test_tokens_of_others(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, new_person: NewPerson
) -> None:
    """Other users' tokens cannot be listed or revoked, not even by an administrator."""
    token = await new_token(ada)
    (item,) = (await anonymous.get(TOKENS, headers=ada.headers)).json()

    for other in (await new_person("eve@example.com"), await new_person("root@example.com", is_admin=True)):
        answer = await anonymous.delete(f"{TOKENS}/{item['id']}", headers=other.headers)
        unknown = await anonymous.delete(f"{TOKENS}/{uuid4()}", headers=other.headers)
        assert answer.status_code == unknown.status_code == 404
        assert answer.json()["detail"] == unknown.json()["detail"]
    assert await status(anonymous, token) == 200


async def test_expired_token(anonymous: AsyncClient, ada: Person, new_token: NewToken, app: FastAPI) -> None:
    """An expired token is refused, no longer listed, and deleted by the next purge."""
    token, kept = await new_token(ada), await new_token(ada)
    async with services_of(app).database.transaction() as session:
        expired = update(PersonalToken).where(PersonalToken.digest == digest(token)).values(expires_at=clock.now())
        await session.execute(expired)

    assert await status(anonymous, token) == 401
    assert [item["hint"] for item in (await anonymous.get(TOKENS, headers=ada.headers)).json()] == [kept[-4:]]
    assert (await services_of(app).retention.run(services_of(app).database))["auth personal tokens"] == 1
    assert await status(anonymous, kept) == 200


async def by_admin(client: AsyncClient, admin: Person, person: Person, **change: bool) -> None:
    """Change an account."""
    (found,) = (await client.get("/api/v1/users", params={"q": person.email}, headers=admin.headers)).json()["items"]
    answer = await client.patch(f"/api/v1/users/{found['id']}", json=change, headers=admin.headers)
    assert answer.status_code == 200


async def test_closed_account(anonymous: AsyncClient, admin: Person, ada: Person, new_token: NewToken) -> None:
    """Closing an account revokes its tokens at once; reopening it does not restore them."""
    token = await new_token(ada)
    assert await status(anonymous, token) == 200

    await by_admin(anonymous, admin, ada, is_active=False)
    assert await status(anonymous, token) == 401
    await by_admin(anonymous, admin, ada, is_active=True)
    assert await status(anonymous, token) == 401


async def test_account_that_is_closed_in_the_database(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, database: Database
) -> None:
    """Tokens are refused if their account is closed directly in the database."""
    token = await new_token(ada)
    async with database.transaction() as session:
        await session.execute(update(User).where(User.subject == ada.subject).values(is_active=False))

    assert await status(anonymous, token) == 401


async def test_deleted_account(anonymous: AsyncClient, ada: Person, new_token: NewToken, database: Database) -> None:
    """Tokens are deleted with their account."""
    token = await new_token(ada)

    await anonymous.post(f"{AUTH}/me/delete", json={"password": PASSWORD}, headers=ada.headers)

    assert await status(anonymous, token) == 401
    assert await database.read.all(select(PersonalToken.__table__)) == []


async def test_reset_password_ends_tokens(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, outbox: Outbox
) -> None:
    """A password reset revokes all tokens, because a thief may have created some."""
    token = await new_token(ada)
    await mailed(outbox)
    await anonymous.post(f"{AUTH}/password/forgot", json={"email": ada.email})
    link = token_in(await mailed(outbox))
    await anonymous.post(f"{AUTH}/password/reset", json={"token": link, "password": OTHER_PASSWORD})

    assert await status(anonymous, token) == 401


async def test_changed_password_leaves_tokens(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """A password change keeps tokens valid."""
    token = await new_token(ada)
    body = {"current": PASSWORD, "new": OTHER_PASSWORD}
    answer = await anonymous.post(f"{AUTH}/password/change", json=body, headers=ada.headers)

    assert answer.status_code == 204
    assert await status(anonymous, token) == 200


async def test_logging_out_leaves_tokens(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """A token outlives the login that created it."""
    token = await new_token(ada)
    await anonymous.delete(f"{AUTH}/sessions", headers=ada.headers)

    assert await status(anonymous, token) == 200


async def test_administrators_token(app: FastAPI, anonymous: AsyncClient, admin: Person, new_token: NewToken) -> None:
    """The scope `admin` must be requested, and is lost with the owner's admin rights."""
    verify = services_of(app).personal_tokens.verify
    with_it, without = await new_token(admin, scope=f"{READ} admin"), await new_token(admin)

    assert (await verify(with_it, services_of(app).database)).scopes == {READ, "admin"}
    assert (await verify(without, services_of(app).database)).scopes == {READ}
    async with services_of(app).database.transaction() as session:
        await session.execute(update(User).values(is_admin=False))
    assert (await verify(with_it, services_of(app).database)).scopes == {READ}
    assert (await create(anonymous, admin, scope="admin")).json()["type"] == "urn:problem:invalid-scope"


async def test_dismissed_administrator(
    anonymous: AsyncClient, admin: Person, new_token: NewToken, new_person: NewPerson
) -> None:
    """Tokens revoked with admin rights stay revoked when these are granted again."""
    other = await new_person("root@example.com", is_admin=True)
    token = await new_token(other, scope=f"{READ} admin")

    await by_admin(anonymous, admin, other, is_admin=False)
    await by_admin(anonymous, admin, other, is_admin=True)

    assert await status(anonymous, token) == 401


async def test_accounts_need_a_login(app: FastAPI, anonymous: AsyncClient, admin: Person, new_token: NewToken) -> None:
    """No operation on accounts, logins or tokens accepts a personal token, whatever its scopes."""
    headers = bearer(await new_token(admin, scope="widgets:read widgets:write admin"))
    answers: dict[str, Response] = {}
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if f"{path}/".startswith(("/api/v1/auth/", "/api/v1/users/")) and "security" in operation:
                url = path.format_map({name: UUID(int=0) for name in ("user_id", "session_id", "token_id")})
                answers[f"{method} {path}"] = await anonymous.request(method, url, headers=headers, json={})

    expected = {"post /api/v1/auth/password/change", "post /api/v1/auth/me/delete", "get /api/v1/auth/sessions"}
    expected |= {"get /api/v1/users", "patch /api/v1/users/{user_id}", f"get {TOKENS}", f"post {TOKENS}"}
    assert expected <= set(answers)
    kinds = {name: answer.json()["type"] for name, answer in answers.items()}
    assert set(kinds.values()) == {"urn:problem:login-required"}, kinds
    assert {answer.status_code for answer in answers.values()} == {403}


async def test_token_types_are_not_interchangeable(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """A personal token cannot refresh or reset anything; a refresh token is no personal token."""
    token = await new_token(ada)
    body = {"token": token, "password": OTHER_PASSWORD}

    assert (await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": token})).status_code == 400
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert (await anonymous.post(f"{AUTH}/token", data=form)).status_code == 400
    assert (await anonymous.post(f"{AUTH}/password/reset", json=body)).status_code == 400
    assert (await anonymous.post(f"{AUTH}/verify", json=body)).status_code == 400
    assert await status(anonymous, f"pat_{ada.tokens['refresh_token']}") == 401
