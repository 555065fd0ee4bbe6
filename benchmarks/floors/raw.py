"""The raw floor: Starlette, asyncpg and orjson by hand. As fast as Python gets, and nothing that one would maintain."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OWNER = "guest"
ONE = "SELECT id, title, body, created_at, updated_at FROM floor_notes WHERE id = $1 AND owner_id = $2"
PAGE = """SELECT id, title, body, created_at, updated_at FROM floor_notes
    WHERE owner_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"""
ADD = """INSERT INTO floor_notes (id, owner_id, title, body, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $5)"""


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _row(row: Mapping[str, object]) -> dict[str, object]:
    # asyncpg has a UUID class of its own, which orjson does not know.
    return {**row, "id": str(row["id"])}


async def health(_: Request) -> Response:
    """Answer."""
    return _json({"status": "ok"})


async def read(request: Request) -> Response:
    """Return one note."""
    row = await request.app.state.pool.fetchrow(ONE, UUID(request.path_params["id"]), OWNER)
    return _json(_row(row)) if row else _json(None, 404)


async def page(request: Request) -> Response:
    """Return the latest notes."""
    rows = await request.app.state.pool.fetch(PAGE, OWNER, int(request.query_params.get("limit", "20")))
    return _json([_row(row) for row in rows])


async def create(request: Request) -> Response:
    """Add a note."""
    data = orjson.loads(await request.body())
    note_id, moment = uuid4(), datetime.now(UTC)
    await request.app.state.pool.execute(ADD, note_id, OWNER, data["title"], data["body"], moment)
    return _json({"id": note_id, **data, "created_at": moment, "updated_at": moment}, 201)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    """Hold a pool open."""
    url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=1, max_size=10) as pool:
        app.state.pool = pool
        yield


app = Starlette(
    routes=[
        Route("/healthz", health),
        Route("/api/v1/notes/{id}", read),
        Route("/api/v1/notes", page, methods=["GET"]),
        Route("/api/v1/notes", create, methods=["POST"]),
    ],
    lifespan=lifespan,
)
