"""HTTP streams end soon after their caller's access does."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from httpx2 import AsyncClient

from keel.services import services_of
from keel.testing.server import Server
from keel.tests.auth.fixtures import AUTH, Configure, NewPerson, NewToken, Person
from keel.tests.auth.personal import bearer
from keel.tests.widgets.api import EVENTS, create, events


@pytest.fixture(autouse=True)
def looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections trust a personal token for a moment instead of a minute."""
    monkeypatch.setattr("keel.auth.callers.PERSONAL_TOKEN_SECONDS", 0.05)


@asynccontextmanager
async def following(server: Server, headers: dict[str, str]) -> AsyncGenerator[AsyncIterator[dict[str, str]]]:
    """Follow new widgets."""
    async with server.client() as client, client.stream("GET", EVENTS, headers=headers) as answer:
        assert answer.status_code == 200
        yield events(answer)
    await server.run(services_of(server.app).personal_tokens.usage.settle())


def refusal(heard: list[dict[str, str]]) -> str:
    """Return the type of the problem that ended a stream without other events."""
    (last,) = heard
    assert last["event"] == "closed"
    problem: dict[str, Any] = json.loads(last["data"])
    return problem["type"]


async def test_stream_ends_when_its_personal_token_is_revoked(
    server: Server, client: AsyncClient, ada: Person, new_token: NewToken
) -> None:
    """The stream continues until then, and sends nothing afterwards."""
    token = await new_token(ada, scope="widgets:read widgets:write")
    async with following(server, bearer(token)) as heard:
        async with server.client() as machine:
            machine.headers.update(bearer(token))
            widget = await create(machine)
        first = await anext(heard)
        (stored,) = (await client.get(f"{AUTH}/tokens", headers=ada.headers)).json()
        await client.delete(f"{AUTH}/tokens/{stored['id']}", headers=ada.headers)
        rest = [event async for event in heard]

    assert json.loads(first["data"])["id"] == widget["id"]
    assert refusal(rest) == "urn:problem:not-signed-in"


async def test_stream_ends_when_its_account_is_closed(
    server: Server, client: AsyncClient, ada: Person, admin: Person, new_token: NewToken
) -> None:
    """Closing an account ends its open streams."""
    async with following(server, bearer(await new_token(ada))) as heard:
        user = (await client.get(f"{AUTH}/me", headers=ada.headers)).json()
        await client.patch(f"/api/v1/users/{user['id']}", json={"is_active": False}, headers=admin.headers)

        assert refusal([event async for event in heard]) == "urn:problem:not-signed-in"


async def test_stream_ends_when_its_access_token_expires(
    server: Server, configure: Configure, new_person: NewPerson
) -> None:
    """The client can reconnect with a new token."""
    configure(ACCESS_MINUTES="0.02")  # A second, the shortest.
    person = await new_person()
    async with following(server, person.headers) as heard:
        assert refusal([event async for event in heard]) == "urn:problem:not-signed-in"
