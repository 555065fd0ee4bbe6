"""The raw floor: Starlette, asyncpg, orjson and PyJWT by hand. As fast as Python gets; not meant to be maintained.

As in the textbook, `TOKEN_KEY` is every user's password.
"""

import os
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import jwt
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = os.environ["TOKEN_KEY"]
ALGORITHM = "HS256"
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


def _user(request: Request) -> str:
    try:
        return jwt.decode(request.headers["authorization"].removeprefix("Bearer "), KEY, [ALGORITHM])["sub"]
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401) from None


async def sign_in(request: Request) -> Response:
    """Exchange a password for an access token."""
    form = await request.form()
    if not secrets.compare_digest(str(form["password"]), KEY):
        return _json(None, 400)
    claims = {"sub": form["username"], "exp": datetime.now(UTC) + timedelta(minutes=15)}
    return _json({"access_token": jwt.encode(claims, KEY, ALGORITHM), "token_type": "bearer"})


async def health(_: Request) -> Response:
    """Answer."""
    return _json({"status": "ok"})


async def read(request: Request) -> Response:
    """Return one note."""
    row = await request.app.state.pool.fetchrow(ONE, UUID(request.path_params["id"]), _user(request))
    return _json(_row(row)) if row else _json(None, 404)


async def page(request: Request) -> Response:
    """Return the latest notes."""
    rows = await request.app.state.pool.fetch(
        PAGE, _user(request), int(request.query_params.get("limit", "20"))
    )
    return _json([_row(row) for row in rows])


async def create(request: Request) -> Response:
    """Add a note."""
    user = _user(request)
    data = orjson.loads(await request.body())
    note_id, moment = uuid4(), datetime.now(UTC)
    await request.app.state.pool.execute(ADD, note_id, user, data["title"], data["body"], moment)
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
        Route("/api/v1/auth/token", sign_in, methods=["POST"]),
        Route("/api/v1/notes/{id}", read),
        Route("/api/v1/notes", page, methods=["GET"]),
        Route("/api/v1/notes", create, methods=["POST"]),
    ],
    lifespan=lifespan,
)
