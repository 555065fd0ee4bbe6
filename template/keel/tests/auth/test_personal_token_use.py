"""Personal access tokens in use: format, rate limit, last use, audit log."""

import asyncio
import re
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select, update

from keel import clock
from keel.auth.models import PersonalToken, User
from keel.auth.personal_tokens import callers as module
from keel.auth.personal_tokens.format import PREFIX, checksum, is_well_formed, new_personal_token
from keel.auth.personal_tokens.repository import PersonalTokenReader, PersonalTokenRepository
from keel.auth.personal_tokens.usage import PersonalTokenUsage
from keel.db.database import Database
from keel.services import services_of
from keel.testing.support import PATIENCE, running
from keel.tests.application import create_app
from keel.tests.auth.fixtures import AUTH, NewToken, Person
from keel.tests.auth.personal import TOKENS, bearer, create, status
from keel.tests.widgets.api import WIDGETS

ISSUED = PersonalToken.__table__


def test_format() -> None:
    """Scanners recognize tokens by format and checksum, checked with a token that GitHub has published."""
    example = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"
    tokens = {new_personal_token() for _ in range(200)}

    assert len(tokens) == 200
    assert all(re.fullmatch(r"pat_[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}", token) for token in tokens)
    assert all(is_well_formed(token) for token in tokens)
    assert checksum(example[:-6]) == example[-6:]


SECRET = "Keel0" * 8 + "abc"
GOOD = PREFIX + SECRET + checksum(SECRET)


@pytest.mark.parametrize(
    "token",
    [
        PREFIX,
        GOOD[:-1],
        GOOD + "0",
        GOOD[:-6],
        GOOD[:-6] + "000000",
        GOOD[:10] + ("A" if GOOD[10] != "A" else "B") + GOOD[11:],
        GOOD.swapcase().replace("PAT_", "pat_"),
        PREFIX + GOOD,
        PREFIX + "é" * 49,
        PREFIX + "x" * 5000,
        PREFIX + "' OR 1=1 --",
    ],
)
async def test_typos_are_refused_without_a_query(
    app: FastAPI, anonymous: AsyncClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Malformed tokens are refused without a database query."""
    monkeypatch.setattr(PersonalTokenReader, "valid", None)

    headers = {b"authorization": b"Bearer " + token.encode("latin-1")}
    assert (await anonymous.get(WIDGETS, headers=headers)).status_code == 401


async def test_other_prefixes(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """A token without its prefix, or with another, is refused."""
    token = await new_token(ada)

    for prefix in ("PAT_", "ghp_", "xpat_", ""):
        assert await status(anonymous, prefix + token[len(PREFIX) :]) == 401, prefix
    assert await status(anonymous, token) == 200


async def test_forged_token(anonymous: AsyncClient, ada: Person, new_token: NewToken) -> None:
    """An unknown token with a valid checksum is refused."""
    await new_token(ada)

    assert await status(anonymous, new_personal_token()) == 401


async def test_access_tokens_need_no_query(
    anonymous: AsyncClient, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests with access tokens make no query."""
    monkeypatch.setattr(PersonalTokenReader, "valid", None)

    assert (await anonymous.get(WIDGETS, headers=ada.headers)).status_code == 200


async def last_used(client: AsyncClient, person: Person) -> datetime | None:
    """Return when the only token of a user was last used."""
    (item,) = (await client.get(TOKENS, headers=person.headers)).json()
    return datetime.fromisoformat(item["last_used_at"]) if item["last_used_at"] else None


async def yesterday(database: Database) -> None:
    """Set the last use of all tokens to a day ago."""
    async with database.transaction() as session:
        await session.execute(update(PersonalToken).values(last_used_at=clock.now() - timedelta(days=1)))


class Touches:
    """Counts the writes of last uses, and can fail them."""

    def __init__(self, usage: PersonalTokenUsage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.usage = usage
        self.count = 0
        self.failing = False
        touch = PersonalTokenRepository.touch

        async def counted(repository: PersonalTokenRepository, *args: Any, **kwargs: Any) -> bool:
            self.count += 1
            if self.failing:
                raise RuntimeError("the disk is full")
            return await touch(repository, *args, **kwargs)

        monkeypatch.setattr(PersonalTokenRepository, "touch", counted)


@pytest.fixture
def touches(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Touches:
    """Record the writes of last uses, which run when a test asks for them."""
    monkeypatch.setattr("keel.auth.personal_tokens.usage.DELAY", PATIENCE)
    return Touches(services_of(app).personal_tokens.usage, monkeypatch)


async def test_last_use(
    app: FastAPI, anonymous: AsyncClient, ada: Person, new_token: NewToken, touches: Touches
) -> None:
    """A use is written once a minute, however often and concurrently a token is used."""
    token, usage = await new_token(ada), services_of(app).personal_tokens.usage
    assert await last_used(anonymous, ada) is None

    assert set(await asyncio.gather(*[status(anonymous, token) for _ in range(20)])) == {200}
    assert touches.count == 0
    await usage.settle()
    first = await last_used(anonymous, ada)
    await asyncio.gather(*[status(anonymous, token) for _ in range(5)])
    await usage.settle()

    assert touches.count == 1
    assert first is not None
    assert clock.now() - first < timedelta(minutes=1)
    await yesterday(services_of(app).database)
    await status(anonymous, token)
    await usage.settle()
    later = await last_used(anonymous, ada)
    assert later is not None
    assert later > first


async def test_uses_are_written_in_the_background(
    anonymous: AsyncClient, ada: Person, new_token: NewToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uses are written without a further request."""
    monkeypatch.setattr("keel.auth.personal_tokens.usage.DELAY", 0.01)
    await status(anonymous, await new_token(ada))

    async with asyncio.timeout(PATIENCE):
        while await last_used(anonymous, ada) is None:
            await asyncio.sleep(0.01)


async def test_uses_are_written_when_the_application_stops(
    anonymous: AsyncClient, ada: Person, new_token: NewToken
) -> None:
    """A restart loses no use."""
    token, app = await new_token(ada), create_app()
    async with running(app, signed_in=False) as client:
        await status(client, token)

    assert await last_used(anonymous, ada) is not None


async def test_writing_a_use_delays_no_request(
    app: FastAPI, anonymous: AsyncClient, ada: Person, new_token: NewToken
) -> None:
    """Another client's long write transaction does not delay requests with a token."""
    token, usage = await new_token(ada), services_of(app).personal_tokens.usage
    async with services_of(app).database.transaction() as session:
        await session.execute(update(User).values(is_admin=False))
        async with asyncio.timeout(PATIENCE):
            assert await status(anonymous, token) == 200
            writing = asyncio.create_task(usage.settle())
            assert [await status(anonymous, token) for _ in range(3)] == [200] * 3
    await writing

    assert await last_used(anonymous, ada) is not None


async def test_failed_write_of_a_use(
    anonymous: AsyncClient,
    ada: Person,
    new_token: NewToken,
    touches: Touches,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The request succeeds, the failure is logged, and the next use is written."""
    token = await new_token(ada)
    touches.failing = True
    assert await status(anonymous, token) == 200
    await touches.usage.settle()
    assert "personal_token_use_lost" in capsys.readouterr().out
    assert await last_used(anonymous, ada) is None

    touches.failing = False
    assert await status(anonymous, token) == 200
    await touches.usage.settle()

    assert await last_used(anonymous, ada) is not None


async def test_token_is_revoked_before_its_use_is_written(
    app: FastAPI, anonymous: AsyncClient, ada: Person, new_token: NewToken, database: Database
) -> None:
    """Writing a use does not restore a revoked token."""
    await status(anonymous, await new_token(ada))
    (item,) = (await anonymous.get(TOKENS, headers=ada.headers)).json()
    await anonymous.delete(f"{TOKENS}/{item['id']}", headers=ada.headers)
    await services_of(app).personal_tokens.usage.settle()

    assert await database.read.all(select(ISSUED)) == []


async def test_audit(
    app: FastAPI,
    anonymous: AsyncClient,
    ada: Person,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log tells of tokens that are made, first used and revoked, and holds nothing that could be used.

    Two processes see the first use of one token at the same time; one of them tells.
    """
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    another = create_app()
    async with running(another, signed_in=False) as other:
        token = (await create(anonymous, ada, name="my token is called so")).json()
        assert await status(anonymous, token["token"]) == 200
        assert await status(other, token["token"]) == 200
        await services_of(app).personal_tokens.usage.settle()
        await services_of(another).personal_tokens.usage.settle()
        await yesterday(services_of(app).database)
        assert await status(anonymous, token["token"]) == 200
        await services_of(app).personal_tokens.usage.settle()
        await anonymous.delete(f"{TOKENS}/{token['id']}", headers=ada.headers)
        assert await status(anonymous, token["token"]) == 401

    logged = capsys.readouterr().out
    for action in ("created", "first_used", "revoked"):
        assert logged.count(f'"action":"personal_token_{action}"') == 1
    assert logged.count(token["id"]) >= 3
    for secret in (token["token"], token["token"][4:-6], "my token is called so", ada.email):
        assert secret not in logged


async def test_callers_are_limited_as_one(
    ada: Person, new_token: NewToken, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tokens and logins of a user share one limit, from every address, once this process has verified them."""
    first, second = await new_token(ada), await new_token(ada)
    monkeypatch.setenv("RATE_LIMIT", "4/minute")
    limited = create_app()
    async with running(limited, signed_in=False) as client:
        # The first request with each counts for the address: the database is asked only after this.
        assert [await status(client, token) for token in (first, second)] == [200, 200]
        assert [await status(client, token) for token in (first, second, first)] == [200] * 3
        assert (await client.get(f"{AUTH}/me", headers=ada.headers)).status_code == 200
        assert (await client.get(WIDGETS, headers=bearer(second))).status_code == 429
        assert (await client.get("/nowhere")).status_code == 404


async def test_forged_tokens_count_for_the_address(
    app: FastAPI, ada: Person, new_token: NewToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forging a new token for each request does not evade the limit."""
    revoked = await new_token(ada)
    monkeypatch.setenv("RATE_LIMIT", "4/minute")
    limited = create_app()
    async with running(limited, signed_in=False) as client:
        assert await status(client, revoked) == 200
        async with services_of(limited).database.transaction() as session:
            await session.execute(update(PersonalToken).values(expires_at=clock.now()))
        assert await status(client, revoked) == 401
        answers = [
            await client.get(WIDGETS, headers=bearer(t)) for t in (revoked, *(new_personal_token() for _ in "123"))
        ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_memory_is_bounded(
    app: FastAPI, ada: Person, new_token: NewToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached tokens are limited in number, and are not stored in plain text."""
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    callers = services_of(app).personal_tokens
    monkeypatch.setattr(callers, "_subjects", OrderedDict())
    tokens = [await new_token(ada) for _ in range(3)]
    for token in tokens:
        await callers.verify(token, services_of(app).database)

    assert [callers.counted_as(token) is None for token in tokens] == [True, False, False]
    assert not any(token in repr(callers._subjects) for token in tokens)
