"""POSTs repeated with their key."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import func, select, update

from keel import clock
from keel.db.database import Database
from keel.dependencies import SessionDep
from keel.idempotency import KEPT
from keel.idempotency.models import StoredAnswer
from keel.idempotency.route import MAX_BODY, MAX_KEY, REPLAYED, IdempotentRoute
from keel.services import services_of
from keel.tests.widgets.api import WIDGETS, titles
from keel.web.errors import Conflict

BODY = {"title": "once"}
router = APIRouter(prefix="/probe", route_class=IdempotentRoute)


class Recorded(Conflict):
    """What is refused, and stored all the same."""

    commit_on_error = True


@router.post("/refused")
async def refuse(_: SessionDep) -> None:
    """Refuse, but commit."""
    raise Recorded("No.")


@router.post("/public")
async def answer(_: SessionDep) -> str:
    """Answer."""
    return "answered"


@router.post("/cookies")
async def answer_with_cookies(_: SessionDep, response: Response) -> str:
    """Respond with a repeated header."""
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return "answered"


@router.post("/failed")
async def fail(_: SessionDep) -> Response:
    """Respond with a server error."""
    return Response(status_code=502)


@router.post("/large")
async def answer_largely(_: SessionDep) -> Response:
    """Respond with more than can be stored."""
    return Response(b"x" * (MAX_BODY + 1))


async def read_chunks(request: Request) -> None:
    """Read the body in chunks, as for forms and uploads."""
    async for _ in request.stream():
        pass


@router.post("/streamed", dependencies=[Depends(read_chunks)])
async def take_stream(_: SessionDep) -> str:
    """Accept a streamed body."""
    return "taken"


@pytest.fixture
def probe(app: FastAPI) -> Iterator[FastAPI]:
    """Return the application with the routes above."""
    before = list(app.router.routes)
    app.include_router(router)
    yield app
    app.router.routes[:] = before


async def post(client: AsyncClient, key: str = "k", body: Any = None) -> Any:
    """Create a widget with a key."""
    return await client.post(WIDGETS, json=body or BODY, headers={"Idempotency-Key": key})


async def stored(database: Database) -> int:
    """Return the number of stored responses."""
    return await database.read.scalar(select(func.count()).select_from(StoredAnswer))


async def test_repetition(client: AsyncClient) -> None:
    """A repetition gets the complete first response, and nothing is done twice; quotes around the key are optional."""
    first = await post(client)
    again = await post(client, '"k"')

    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert again.content == first.content
    for name in ("Content-Type", "Content-Length", "Location"):
        assert again.headers.get_list(name) == first.headers.get_list(name)
    assert await titles(client) == ["once"]


@pytest.mark.usefixtures("probe")
async def test_repeated_headers(client: AsyncClient) -> None:
    """A repeated header is repeated in the stored response, too."""
    first, again = [await client.post("/probe/cookies", headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert again.headers[REPLAYED] == "true"
    assert len(again.headers.get_list("set-cookie")) == 2
    assert again.headers.get_list("set-cookie") == first.headers.get_list("set-cookie")


async def test_concurrent_requests(client: AsyncClient) -> None:
    """Of concurrent requests one runs, and the others wait for its response."""
    answers = await asyncio.gather(*(post(client) for _ in range(5)))

    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers) == 1
    assert await titles(client) == ["once"]


async def test_other_requests(client: AsyncClient, database: Database) -> None:
    """Another key is another request; without a key nothing is stored; a key belongs to one request."""
    await post(client)
    await post(client, "another")
    await client.post(WIDGETS, json=BODY)
    reused = await post(client, body={"title": "other"})

    assert (reused.status_code, reused.json()["type"]) == (422, "urn:problem:idempotency-key-reused")
    assert len(await titles(client)) == 3
    assert await stored(database) == 2


async def test_failed_requests_can_be_retried(probe: FastAPI, client: AsyncClient, database: Database) -> None:
    """An error is not stored, whether it was raised, committed or returned."""
    key = {"Idempotency-Key": "k"}
    assert (await post(client, body={"title": 1})).status_code == 422
    assert (await client.post("/probe/refused", headers=key)).status_code == 409
    assert (await client.post("/probe/failed", headers=key)).status_code == 502
    assert await stored(database) == 0

    assert (await post(client)).status_code == 201


async def test_unsupported_requests(probe: FastAPI, client: AsyncClient, database: Database) -> None:
    """An oversized response fails; a streamed body is refused."""
    key = {"Idempotency-Key": "k"}
    assert (await client.post("/probe/large", headers=key)).status_code == 500
    streamed = await client.post("/probe/streamed", content=b"x", headers=key)

    assert (streamed.status_code, streamed.json()["type"]) == (400, "urn:problem:idempotency-key-not-valid")
    assert (await client.post("/probe/streamed", content=b"x")).json() == "taken"
    assert await stored(database) == 0


@pytest.mark.parametrize("key", ["", '""', '"', '"a', "x" * (MAX_KEY + 1), "a\tb"])
async def test_invalid_keys(client: AsyncClient, key: str) -> None:
    """They are refused, and nothing is done."""
    answer = await post(client, key)

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:idempotency-key-not-valid")
    assert await titles(client) == []


async def test_two_keys(client: AsyncClient) -> None:
    """Two keys are refused, because servers and proxies may disagree on which one counts."""
    keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await client.post(WIDGETS, json=BODY, headers=keys)

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:idempotency-key-not-valid")
    assert await titles(client) == []


async def test_guests_are_distinguished_by_address(probe: FastAPI) -> None:
    """Without sign-in, the same key from another address is another key."""
    for address, replayed in (("192.0.2.1", False), ("192.0.2.2", False), ("192.0.2.1", True)):
        transport = ASGITransport(probe, client=(address, 50000))
        async with AsyncClient(transport=transport, base_url="http://test") as guest:
            answer = await guest.post("/probe/public", headers={"Idempotency-Key": "k"})
        assert (answer.status_code, REPLAYED in answer.headers) == (200, replayed)


async def answer_without_session() -> None:
    """Respond without a transaction."""


def answer_synchronously(_: SessionDep) -> None:
    """Respond from a thread, where a session can't be used."""


@pytest.mark.parametrize("endpoint", [answer_without_session, answer_synchronously])
def test_functions_without_a_session_are_refused(endpoint: Callable[..., object]) -> None:
    """They fail when the application starts, and not when the first key arrives."""
    with pytest.raises(TypeError, match="`async def` and use `SessionDep`"):
        router.post("/stateless")(endpoint)


async def test_purge(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Responses are kept for a day, then the key is new again."""
    await post(client)
    await post(client, "old")
    async with database.transaction() as session:
        old = StoredAnswer.created_at < clock.now()
        digest = select(StoredAnswer.key_digest).where(old).order_by(StoredAnswer.created_at.desc()).limit(1)
        changed = update(StoredAnswer).where(StoredAnswer.key_digest == digest.scalar_subquery())
        await session.execute(changed.values(created_at=clock.now() - KEPT - timedelta(seconds=1)))

    assert (await services_of(app).retention.run(database))["idempotency keys"] == 1
    assert REPLAYED not in (await post(client, "old")).headers
    assert REPLAYED in (await post(client)).headers


async def test_document(client: AsyncClient) -> None:
    """The OpenAPI document has the header for POSTs only."""
    operations = (await client.get("/openapi.json")).json()["paths"][WIDGETS]

    def headers(method: str) -> list[str]:
        return [p["name"] for p in operations[method].get("parameters", ()) if p["in"] == "header"]

    assert headers("post") == ["Idempotency-Key"]
    assert headers("get") == []
