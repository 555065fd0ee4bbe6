"""Gunicorn and its workers, as in production: reloaded, stopped and killed while clients write."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from httpx2 import AsyncClient

from keel.testing.ports import Port
from keel.testing.support import PATIENCE
from keel.tests.widgets.api import EVENTS, WIDGETS

pytestmark = pytest.mark.faults
PROGRAM = "keel.tests.application:create_app()"
ROOT = Path(__file__).parents[2]


class Gunicorn:
    """A server with two worker processes."""

    def __init__(self, log: Path) -> None:
        self._port = Port()
        self.port = self._port.number
        self._log = log
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
        }
        command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", PROGRAM]
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - ours
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def __enter__(self) -> Self:
        """Wait until both workers serve."""
        try:
            self.wait_for("Application startup complete", 2)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it and its workers, whatever state they are in."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._port.close()

    def said(self, text: str) -> list[str]:
        """Return the log lines that contain a text."""
        return [line for line in self._log.read_text(encoding="utf-8").splitlines() if text in line]

    def wait_for(self, text: str, times: int) -> None:
        """Return once the log contains a text this many times."""
        deadline = time.monotonic() + PATIENCE
        while len(self.said(text)) < times:
            assert self.process.poll() is None, self._log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, self._log.read_text(encoding="utf-8")
            time.sleep(0.02)

    @property
    def workers(self) -> list[int]:
        """Return the worker processes, oldest first."""
        return [int(line.rpartition("pid: ")[2].partition('"')[0]) for line in self.said("Booting worker with pid")]


@pytest.fixture
def gunicorn(client: AsyncClient, tmp_path: Path) -> Iterator[Gunicorn]:
    """Return a running Gunicorn on the test database, which the test finds empty."""
    with Gunicorn(tmp_path / "log") as server:
        yield server


@dataclass
class Load:
    """Clients that create widgets until they are stopped; half of them use keep-alive."""

    port: int
    headers: dict[str, str]
    kept: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start the clients."""
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(8)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the clients."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {
            **self.headers,
            "Content-Type": "application/json",
            "Connection": ("close", "keep-alive")[number % 2],
        }
        turn = 0
        while not self._over.is_set():
            turn += 1
            title = f"{number}-{turn}"
            try:
                connection.request("POST", WIDGETS, json.dumps({"title": title}), headers)
                answer = connection.getresponse()
                widget = json.loads(answer.read())
                assert (answer.status, widget["title"]) == (201, title)
                self.kept.append(widget["id"])
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(f"{title}: {error!r}")
                connection.close()
        connection.close()


async def stored(client: AsyncClient) -> set[str]:
    """Return the widgets in the database, as read by another application."""
    found: set[str] = set()
    following: str | None = f"{WIDGETS}?limit=100"
    while following:
        page = (await client.get(following)).json()
        found |= {widget["id"] for widget in page["items"]}
        following = page["next"] and f"{WIDGETS}?limit=100&cursor={page['next']}"
    return found


def headers(client: AsyncClient) -> dict[str, str]:
    """Return a client's authentication headers."""
    known = client.headers.get("Authorization")
    return {"Authorization": known} if known else {}


async def test_a_reload_loses_no_request(gunicorn: Gunicorn, client: AsyncClient) -> None:
    """SIGHUP replaces every worker once its successors serve; no client notices, and acknowledged writes are stored."""
    stream = listen(gunicorn, client)
    with Load(gunicorn.port, headers(client)) as load:
        await asyncio.sleep(0.5)
        gunicorn.process.send_signal(signal.SIGHUP)
        gunicorn.wait_for("Finished server process", 2)
        await asyncio.sleep(0.5)

    assert load.broken == []
    assert len(gunicorn.workers) == 4
    lines = gunicorn.said("")
    begun = [number for number, line in enumerate(lines) if "Application startup complete" in line]
    ended = [number for number, line in enumerate(lines) if "Shutting down" in line]
    assert len(begun) == 4
    assert max(begun) < min(ended)
    assert everything(stream).endswith(b"0\r\n\r\n")
    assert set(load.kept) == await stored(client)


async def test_queued_connections_are_served(gunicorn: Gunicorn, client: AsyncClient) -> None:
    """On SIGTERM, connections that no worker has accepted yet are still answered."""
    for worker in gunicorn.workers:
        os.kill(worker, signal.SIGSTOP)
    connections = [socket.create_connection(("127.0.0.1", gunicorn.port), timeout=PATIENCE) for _ in range(50)]
    for connection in connections:
        connection.sendall(post(client))
    gunicorn.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    for worker in gunicorn.workers:
        os.kill(worker, signal.SIGCONT)

    for connection in connections:
        assert everything(connection).startswith(b"HTTP/1.1 201")
    assert gunicorn.process.wait(timeout=PATIENCE) == 0
    assert len(await stored(client)) == 50


async def test_a_killed_worker_is_replaced(gunicorn: Gunicorn, client: AsyncClient) -> None:
    """Only its own connections break; acknowledged writes are stored, and the server keeps working."""
    with Load(gunicorn.port, headers(client)) as load:
        await asyncio.sleep(0.5)
        os.kill(gunicorn.workers[0], signal.SIGKILL)
        gunicorn.wait_for("Application startup complete", 3)
        before = len(load.kept)
        await asyncio.sleep(0.5)

    assert len(load.broken) <= 8, load.broken
    assert len(load.kept) > before
    assert set(load.kept) <= await stored(client)


async def test_requests_in_progress_are_finished(gunicorn: Gunicorn, client: AsyncClient) -> None:
    """SIGTERM ends streams cleanly, answers every request that has arrived, and the exit code is 0."""
    stream = listen(gunicorn, client)
    connections = [socket.create_connection(("127.0.0.1", gunicorn.port), timeout=PATIENCE) for _ in range(20)]
    for connection in connections[:10]:
        connection.sendall(post(client))
    await asyncio.sleep(0.2)
    gunicorn.process.send_signal(signal.SIGTERM)
    # These were accepted, but are only now used.
    for connection in connections[10:]:
        connection.sendall(post(client))

    answers = [everything(connection) for connection in connections]

    for answer in answers:
        status, _, content = answer.partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 201"), answer
        assert json.loads(content)["title"] == "Last words"
    assert everything(stream).endswith(b"0\r\n\r\n")
    assert gunicorn.process.wait(timeout=PATIENCE) == 0
    assert len(await stored(client)) == 20


def head(client: AsyncClient, request: str, *more: str) -> bytes:
    """Return the head of a request."""
    given = [f"{name}: {value}" for name, value in headers(client).items()]
    return "\r\n".join([f"{request} HTTP/1.1", "Host: localhost", *given, *more, "", ""]).encode()


def post(client: AsyncClient) -> bytes:
    """Return a request that creates a widget."""
    body = b'{"title": "Last words"}'
    about = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return head(client, f"POST {WIDGETS}", *about) + body


def listen(gunicorn: Gunicorn, client: AsyncClient) -> socket.socket:
    """Return a connection with an open event stream."""
    stream = socket.create_connection(("127.0.0.1", gunicorn.port), timeout=PATIENCE)
    stream.sendall(head(client, f"GET {EVENTS}"))
    assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    return stream


def everything(connection: socket.socket) -> bytes:
    """Read a connection to its end, or to the end of a complete response."""
    received = bytearray()
    with connection:
        while part := connection.recv(65536):
            received += part
    return bytes(received)
