"""HEAD is answered wherever GET is; a 405 names all methods of a path; only routes with the path's prefix are tried."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse
from httpx2 import AsyncClient
from starlette.responses import StreamingResponse
from starlette.routing import Match
from starlette.types import Scope

from keel.application import new_app
from keel.testing.fuzzing import is_stream
from keel.testing.support import running


@pytest.fixture
def app_with_routes(environment: None) -> FastAPI:
    """Return an application in which several routes share a path."""
    app, router = new_app(), APIRouter(prefix="/things")

    @router.get("/{name}")
    async def read(name: str) -> dict[str, str]:
        """Return more than is sent uncompressed."""
        return {"name": name * 2000}

    @router.put("/{name}")
    @router.delete("/{name}")
    async def change(name: str) -> None:
        """Change it."""

    @router.head("/own/head")
    async def own() -> Response:
        """Answer HEAD itself."""
        return Response(headers={"X-Own": "yes"})

    @router.get("/own/head")
    async def beside() -> None:
        """Answer GET at the same path."""

    @router.get("/all/events", response_class=EventSourceResponse)
    async def stream() -> AsyncIterator[dict[str, str]]:
        """Never end."""
        while True:
            yield {"still": "here"}
            await asyncio.sleep(0)

    @router.get("/all/rows")
    async def rows() -> StreamingResponse:
        """End at once, without waiting in between."""
        return StreamingResponse(iter((b"a", b"b")), media_type="text/csv")

    @router.post("/only/post")
    async def post() -> None:
        """Answer POST alone."""

    app.include_router(router)
    return app


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs", "/things/a", "/nowhere"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_head(app_with_routes: FastAPI, path: str, encoding: str) -> None:
    """Status and headers are those of GET, without a body."""
    async with running(app_with_routes) as client:
        got = await client.get(path, headers={"Accept-Encoding": encoding})
        head = await client.head(path, headers={"Accept-Encoding": encoding})

    moving = {"x-request-id", "ratelimit"} | ({"content-length"} if path in {"/readyz", "/nowhere"} else set())
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert {name: value for name, value in head.headers.items() if name not in moving} == {
        name: value for name, value in got.headers.items() if name not in moving
    }


@pytest.mark.parametrize(("path", "kind"), [("all/events", "text/event-stream"), ("all/rows", "text/csv")])
async def test_head_of_a_stream_ends(app_with_routes: FastAPI, path: str, kind: str) -> None:
    """The response ends after the headers, even if the stream ends at once."""
    async with running(app_with_routes) as client:
        head = await client.head(f"/things/{path}")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"].startswith(kind)


async def test_own_head_route(app_with_routes: FastAPI) -> None:
    """A project's own HEAD route is used."""
    async with running(app_with_routes) as client:
        assert (await client.head("/things/own/head")).headers["X-Own"] == "yes"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/things/a", {"GET", "HEAD", "PUT", "DELETE"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("HEAD", "/things/only/post", {"POST"}),
        ("OPTIONS", "/things/own/head", {"GET", "HEAD"}),
    ],
)
async def test_allow(app_with_routes: FastAPI, method: str, path: str, allowed: set[str]) -> None:
    """A 405 lists all methods of the path, whichever route comes first (RFC 9110, 10.2.1)."""
    async with running(app_with_routes) as client:
        answer = await client.request(method, path)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed


async def test_head_of_the_project(client: AsyncClient) -> None:
    """Every path without parameters that serves GET serves HEAD with the same status."""
    document = (await client.get("/openapi.json")).json()
    paths = [path for path, operations in document["paths"].items() if "get" in operations and "{" not in path]
    streams = {path for path in paths if is_stream(document["paths"][path]["get"])}
    for path in paths:
        head = await client.head(path)
        assert head.status_code != 405, path
        if path not in streams:
            assert (head.status_code, head.content) == ((await client.get(path)).status_code, b""), path


async def test_routes_are_tried_for_paths_with_their_prefix(environment: None) -> None:
    """Routers with another prefix are skipped; a prefix may contain a parameter, and routes may be added later."""
    tried: list[str] = []

    class Watched(APIRoute):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            tried.append(self.path)
            return super().matches(scope)

    app = new_app()
    routers = [APIRouter(prefix=prefix, route_class=Watched) for prefix in ("/ships", "/ports/{port}/ships", "/crews")]
    for router in routers:
        app.include_router(router, prefix="/api")

        @router.get("/all")
        async def read(port: str = "") -> str:
            return port

    async with running(app) as client:
        for path, expected in {"/ships": "", "/ports/oslo/ships": "oslo", "/crews": ""}.items():
            assert (await client.get(f"/api{path}/all")).json() == expected
        tried.clear()
        assert (await client.get("/api/crews/all")).status_code == 200
        assert (await client.get("/api/crews/none")).status_code == 404
    assert set(tried) == {"/crews/all"}
