"""The server process, `python -m app grpc`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update
from typer.testing import CliRunner

from app.main import create_app
from keel.db.database import Database
from keel.ops import cli
from keel.testing.support import PATIENCE
from keel.tests.grpc.support import Widgets, connected, refused
from keel.tests.widgets import models
from keel.tests.widgets.api import WIDGETS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a free port, which is set in the settings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        found = free.getsockname()[1]
    monkeypatch.setenv("GRPC_PORT", str(found))
    return found


@pytest.fixture
def signals_as_they_were() -> Iterator[None]:
    """Restore the handlers of signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def listens(port: int) -> bool:
    """Whether a port accepts connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_role_serves_until_it_is_stopped(
    app: FastAPI, port: int, signals_as_they_were: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not migrate."""
    monkeypatch.delenv("DATABASE_MIGRATE_AT_START", raising=False)
    over, before = threading.Event(), signal.getsignal(signal.SIGTERM)

    def stop_when_it_serves() -> None:
        # Again and again: a signal that comes before the application handles it is lost.
        while not over.wait(0.02):
            if signal.getsignal(signal.SIGTERM) is not before and listens(port):
                os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop_when_it_serves)
    stopping.start()
    try:
        result = CliRunner().invoke(cli.build(create_app, "app"), ["grpc"], catch_exceptions=False)
        migrates = os.environ["DATABASE_MIGRATE_AT_START"]
    finally:
        over.set()
        stopping.join()
        monkeypatch.setenv("DATABASE_MIGRATE_AT_START", "")

    assert result.exit_code == 0, result.output
    assert migrates == "false"


async def test_health_command(app: FastAPI, grpc_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It probes the configured port, and fails if there is no server."""

    async def status(port: int) -> int:
        monkeypatch.setenv("GRPC_PORT", str(port))
        command_line = cli.build(create_app, "app")
        return (await asyncio.to_thread(CliRunner().invoke, command_line, ["grpc", "healthy"])).exit_code

    assert await status(grpc_port) == 0
    assert await status(1) == 1


def test_port_in_use(app: FastAPI, port: int, signals_as_they_were: None) -> None:
    """The process writes one line, and exits with 1."""
    with socket.create_server(("127.0.0.1", port)):
        result = CliRunner().invoke(cli.build(create_app, "app"), ["grpc"])

    assert result.exit_code == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.output


class Role:
    """The role as a process."""

    def __init__(self, log: Path, program: str = "keel.tests.grpc.program") -> None:
        self._log = log
        environment = {**os.environ, "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - ours
                [sys.executable, "-m", program, "grpc"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )

    def lines(self) -> list[dict[str, Any]]:
        """Return its log lines."""
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines() if line[:1] == "{"]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for an action of the process."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert self.process.poll() is None, self._log.read_text(encoding="utf-8")
                await asyncio.sleep(0.01)

    async def ended(self) -> int:
        """Wait until the process has ended; return its status."""
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@pytest.fixture
async def role(app: FastAPI, port: int, tmp_path: Path) -> AsyncIterator[Role]:
    """Return the role, once it serves."""
    role = Role(tmp_path / "log")
    try:
        await role.until(lambda: listens(port))
        yield role
    finally:
        role.process.kill()
        await role.ended()


@pytest.mark.faults
async def test_shutdown_finishes_calls_in_progress(
    role: Role, port: int, database: Database, client: AsyncClient
) -> None:
    """Streams end with a code on which clients retry; then the process exits."""
    async with connected(port) as channel:
        widgets = Widgets(channel, client.headers.get("Authorization"))
        id_ = await widgets.create("before")
        watching = await widgets.watch()
        async with database.transaction() as session:
            # Held, so that the call has to wait here.
            lock = update(models.Widget).where(models.Widget.id == UUID(id_)).values(body="held")
            await session.execute(lock)
            changing = asyncio.ensure_future(widgets.rename(id_, "after"))
            # What comes after it over the same connection is answered: so it has arrived.
            await widgets.list()
            await widgets.list()
            role.process.send_signal(signal.SIGTERM)
            ended = await refused(watching.read())
            assert not changing.done()
        await changing

    assert ended.code is grpc.StatusCode.UNAVAILABLE
    assert await role.ended() == 0
    assert (await client.get(f"{WIDGETS}/{id_}")).json()["title"] == "after"
    assert [line["code"] for line in role.lines() if line.get("rpc_method", "").endswith("Rename")] == ["OK"]
    assert role.lines()[-1]["event"] == "grpc_stopped"


@pytest.mark.faults
async def test_answered_writes_survive_a_kill(role: Role, port: int, client: AsyncClient) -> None:
    """Acknowledged writes are stored; streams end with a code on which clients retry."""
    async with connected(port) as channel:
        widgets = Widgets(channel, client.headers.get("Authorization"))
        id_ = await widgets.create("kept")
        watching = await widgets.watch()
        role.process.kill()

        assert (await refused(watching.read())).code is grpc.StatusCode.UNAVAILABLE
        assert (await client.get(f"{WIDGETS}/{id_}")).json()["title"] == "kept"


@pytest.mark.faults
async def test_the_project_itself(app: FastAPI, port: int, tmp_path: Path) -> None:
    """`python -m app grpc` serves the project's packages, and exits on SIGTERM."""
    role = Role(tmp_path / "log", "app")
    try:
        await role.until(lambda: listens(port))
        role.process.send_signal(signal.SIGTERM)
        assert await role.ended() == 0
    finally:
        role.process.kill()
        await role.ended()
    assert role.lines()[-1]["event"] == "grpc_stopped"


@pytest.mark.faults
def test_http_does_not_import_grpc(environment: None) -> None:
    """The HTTP process starts as fast as without the feature."""
    program = "import sys, app.main; print([name for name in sys.modules if name.startswith('grpc')])"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert result.stdout.strip() == "[]", result.stdout
