"""Liveness and readiness."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Column, Integer, Table
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from keel.application import new_app
from keel.db.database import Database
from keel.db.models import Base
from keel.services import services_of
from keel.testing.support import running


async def test_liveness(client: AsyncClient) -> None:
    """A running process is alive."""
    answer = await client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_liveness_needs_nothing_of_other_requests(environment: None) -> None:
    """Middleware that fails takes no process out of service; other methods, and readiness, pass through it."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    async with running(new_app([Middleware(lambda _: broken)])) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.post("/healthz")).status_code == 500
        assert (await client.get("/readyz")).status_code == 500


async def test_readiness(client: AsyncClient) -> None:
    """The response has every registered check."""
    answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert answer.json()["checks"]["database"]["status"] == "ok"


async def test_readiness_without_a_table(client: AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    """A database that lacks a model's table is not ready; the log names the table."""
    table = Table("unmade", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        answer = await client.get("/readyz")
    finally:
        Base.metadata.remove(table)

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["status"] == "failed"
    assert "no table unmade" in capsys.readouterr().out
    assert (await client.get("/readyz")).status_code == 200


async def test_readiness_with_a_view(client: AsyncClient, database: Database) -> None:
    """A model's table may be a view."""
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("CREATE VIEW of_everything AS SELECT 1 AS id")
    view = Table("of_everything", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        assert (await client.get("/readyz")).status_code == 200
    finally:
        Base.metadata.remove(view)
        async with database.writer.begin() as connection:
            await connection.exec_driver_sql("DROP VIEW of_everything")


@pytest.fixture
def app_with_checks(environment: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application in which one check succeeds, one fails and one hangs."""
    monkeypatch.setenv("READINESS_TIMEOUT", "0.01")
    app = new_app()

    async def succeed() -> None:
        """Return at once, which takes no time however busy the machine is."""

    async def fail() -> None:
        raise ConnectionError("host 10.1.2.3 is unavailable")

    async def hang() -> None:
        await asyncio.sleep(60)

    services_of(app).checks.add("succeeding", succeed)
    services_of(app).checks.add("failing", fail)
    services_of(app).checks.add("hanging", hang)
    return app


async def test_failing_and_hanging_checks(app_with_checks: FastAPI) -> None:
    """They make the process not ready; the reason is not disclosed."""
    async with running(app_with_checks) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    checks = answer.json()["checks"]
    assert {name: check["status"] for name, check in checks.items()} == {
        "succeeding": "ok",
        "failing": "failed",
        "hanging": "failed",
    }
    assert "10.1.2.3" not in answer.text


async def test_draining(environment: None) -> None:
    """A stopping process is alive, but not ready."""
    app = new_app()
    async with running(app) as client:
        services_of(app).shutdown.begin()
        await asyncio.sleep(0)

        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
