"""The recipes: each works as printed, in an application with this project's features."""

import ast
import json
import re
import sys
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from hashlib import sha256
from io import BytesIO
from types import ModuleType
from typing import Any, get_args
from uuid import uuid4
from zipfile import ZipFile

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import MetaData, func, inspect, select
from standardwebhooks import Webhook

from app.main import create_app
from keel.about import ROOT
from keel.caller import Caller
from keel.clock import now
from keel.db.models import Base
from keel.db.pagination import paginate
from keel.db.repository import Repository
from keel.identity import CurrentAdmin
from keel.services import services_of
from keel.testing.support import Outbox, running
from keel.web.errors import InUse

PAGE = ROOT / "keel" / "docs" / "recipes.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.+?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
EXAMPLE = re.compile(r"^```python\n(.+?)^```$", re.MULTILINE | re.DOTALL)
SECRETS = ("whsec_" + b64encode(b"old" * 8).decode(), "whsec_" + b64encode(b"new" * 8).decode())
MAX_LINES = 32


async def together(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """Pages of the join can be sorted by either table; a harbour with boats cannot be deleted."""
    database = services_of(app).database

    class Harbours(Repository[Any]):
        model = recipe.Harbour

    async with database.transaction() as session:
        calm, busy = [await Harbours(session).add(name=name) for name in ("Calm", "Busy")]
        session.add_all([recipe.Boat(name="Ann", harbour_id=busy.id), recipe.Boat(name="Bob", harbour_id=calm.id)])
    page = await paginate(database.read, recipe.boats_with_harbours(), recipe.Moored, order="-harbour", limit=1)
    with pytest.raises(InUse):
        async with database.transaction() as session:
            await Harbours(session).delete(await session.get_one(recipe.Harbour, calm.id))

    assert [(boat.name, boat.harbour) for boat in page.items] == [("Bob", "Calm")]


async def administrators(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """Others get 403."""
    refused = await client.post("/boats/cache/clear")
    app.dependency_overrides[get_args(CurrentAdmin)[1].dependency] = lambda: Caller("root")

    assert refused.status_code == 403
    assert (await client.post("/boats/cache/clear")).status_code == 204


async def public(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """No token is needed."""
    client.headers.pop("Authorization", None)
    answer = await client.get("/tides")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=60")


async def upload(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """A picture may be larger than other bodies; other content, and oversized files, are refused."""
    picture = recipe.PNG + b"x" * 2_000_000
    answers = [await client.post("/pictures", content=each) for each in (picture, picture[1:], picture * 11)]

    assert [answer.status_code for answer in answers] == [200, 415, 413]
    assert answers[0].json() == sha256(picture).hexdigest()


async def image(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """The latest one is served, with its tag; other content is refused, and a missing image is 404."""
    address, png = f"/boats/{uuid4()}/photo", b"\x89PNG\r\n\x1a\n"
    answers = [await client.put(address, content=each) for each in (png + b"first", png + b"last", b"<svg>")]
    photo = await client.get(address)
    again = await client.get(address, headers={"If-None-Match": photo.headers["ETag"]})

    assert [answer.status_code for answer in answers] == [204, 204, 415]
    assert (photo.content, photo.headers["Content-Type"]) == (png + b"last", "image/png")
    assert again.status_code == 304
    assert (await client.get(f"/boats/{uuid4()}/photo")).status_code == 404


async def schedule(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """The entry's job sends the mail."""
    services = services_of(app)
    recipe.install(app)
    entry = services.schedule.entries["boats in the morning"]
    async with services.database.transaction() as session:
        await services.jobs.handlers[entry.job](session, entry.payload)
    await services.jobs.drain(patient=True)

    assert [mail.subject for mail in mails(app)] == ["Boats"]


async def email(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """A mail is sent."""
    assert (await client.post("/berths")).status_code == 202
    await services_of(app).jobs.drain(patient=True)

    assert [mail.subject for mail in mails(app)] == ["Your berth"]


async def synchronous(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """It runs in another thread."""
    threads: set[int] = set()

    def zip_file(*arguments: Any) -> ZipFile:
        threads.add(threading.get_ident())
        return ZipFile(*arguments)

    recipe.ZipFile = zip_file
    answer = await client.get("/logbook/archive")

    assert ZipFile(BytesIO(answer.content)).namelist() == ["logbook.txt"]
    assert threads
    assert threading.get_ident() not in threads


async def stream(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """JSON lines of all pages."""
    answer = await client.get("/numbers", params={"pages": 3})

    assert [json.loads(line)["number"] for line in answer.text.splitlines()] == [*range(1, 301)]


async def webhook(app: FastAPI, client: AsyncClient, recipe: Any) -> None:
    """Either secret is accepted; old, changed, malformed and unsigned requests are refused; a replay has no effect."""
    effects: list[Any] = []

    async def paid(_: object, event: Any) -> None:
        effects.append(event)

    recipe.paid = paid
    send = partial(deliver, client)
    stranger = "whsec_" + b64encode(b"bad" * 8).decode()
    good = [await send("1", SECRETS[0]), await send("2", SECRETS[1]), await send("1", SECRETS[1])]
    bad = [
        await send("3", stranger),
        await send("3", SECRETS[0], age=301),
        await send("3", SECRETS[0], age=-301),
        await send("3", SECRETS[0], body=b'{"number": 2}'),
        await send("3", SECRETS[0], signature="v1,x v2,y nothing"),
        await send("3", SECRETS[0], body=b"\xff"),
    ]
    async with services_of(app).database.transaction() as session:
        stored = await session.scalar(select(func.count()).select_from(recipe.Delivery))

    assert [answer.status_code for answer in good] == [204] * 3
    assert [answer.status_code for answer in bad] == [401] * len(bad)
    assert effects == [{"number": 1}] * 2
    assert stored == 2
    assert (await client.post("/payments/webhook", content=b"{}")).status_code == 422


async def deliver(
    client: AsyncClient,
    id_: str,
    secret: str,
    *,
    age: int = 0,
    body: bytes = b'{"number": 1}',
    signature: str | None = None,
) -> Response:
    """Send a signed event; `body` replaces the signed one."""
    moment = now() - timedelta(seconds=age)
    headers = {
        "webhook-id": id_,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature
        or f"v1a,bm9uZQ== {Webhook(secret).sign(id_, moment, json.dumps({'number': 1}))}",
    }
    return await client.post("/payments/webhook", content=body, headers=headers)


def mails(app: FastAPI) -> list[Any]:
    """Return the mails that were sent."""
    outbox = services_of(app).mailer
    assert isinstance(outbox, Outbox)
    return outbox.mails


CHECKS: dict[str, Callable[[FastAPI, AsyncClient, Any], Awaitable[None]]] = {
    "Two resources that belong together": together,
    "An endpoint for administrators": administrators,
    "A public endpoint": public,
    "An upload": upload,
    "An image, kept and served": image,
    "A schedule": schedule,
    "An e-mail": email,
    "A synchronous endpoint": synchronous,
    "A stream of rows": stream,
    "A webhook": webhook,
}


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> type[Base]:
    """Return a declarative base for a recipe's models, separate from the project's tables."""

    class RecipeBase(Base):
        __abstract__ = True
        metadata = MetaData(naming_convention=Base.metadata.naming_convention)

    monkeypatch.setattr("keel.db.models.Base", RecipeBase)
    return RecipeBase


@asynccontextmanager
async def tables(app: FastAPI, metadata: MetaData) -> AsyncGenerator[None]:
    """Create a recipe's tables; skip the test if the project has one of them."""
    engine = services_of(app).database.writer
    async with engine.connect() as connection:
        there = await connection.run_sync(lambda connection: inspect(connection).get_table_names())
    if taken := metadata.tables.keys() & {*there}:
        pytest.skip(f"this project has tables of these names: {taken}")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)


@pytest.mark.parametrize("title", SECTIONS)
async def test_recipe_works(title: str, base: type[Base], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its router is included and its tables are created, as for a package."""
    monkeypatch.setenv("PAYMENTS_WEBHOOK_SECRETS", ",".join(SECRETS))
    (example,) = EXAMPLE.findall(SECTIONS[title])
    recipe = ModuleType("recipe")
    monkeypatch.setitem(sys.modules, "recipe", recipe)
    exec(compile(example, title, "exec"), vars(recipe))  # noqa: S102 - the project's own page
    app = create_app()
    if router := getattr(recipe, "router", None):
        app.include_router(router)

    async with running(app) as client, tables(app, base.metadata):
        await CHECKS[title](app, client, recipe)


@pytest.mark.parametrize("title", SECTIONS)
def test_recipe_is_short(title: str) -> None:
    """It has about thirty lines, imports aside."""
    (example,) = EXAMPLE.findall(SECTIONS[title])
    imports = sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.parse(example).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    )
    lines = [line for line in example.splitlines() if line and not line.startswith("#")]

    assert len(lines) - imports <= MAX_LINES


def test_table_links_exist() -> None:
    """Every recipe is in it, and every page and heading that it links to exists."""
    for page, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", TEXT):
        if page.startswith("https:"):
            continue
        text = (PAGE.parent / page).read_text(encoding="utf-8") if page else TEXT
        assert not anchor or anchor in {slug(line) for line in text.splitlines() if line.startswith("#")}, anchor
    assert [title for title in SECTIONS if f"(#{slug(title)})" not in TEXT] == []


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-")
