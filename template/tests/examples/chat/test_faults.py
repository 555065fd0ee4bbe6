"""Processes, the database and other shared servers are killed and restarted under load; every message is counted."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from app.examples.chat.repository import ChatReader
from app.main import create_app
from keel.services import services_of
from keel.testing.breakable import Breakable
from keel.testing.identity import sign_in
from keel.testing.ports import Port
from keel.testing.support import running
from tests.examples.chat.api import BATCHED, ROOMS, SINGLE, messages_in, open_room, protocols

pytestmark = pytest.mark.faults

CLIENTS = 200


class Worker:
    """A server process of this project."""

    def __init__(self, folder: Path) -> None:
        self._port = Port()
        self.port = self._port.number
        self._log = folder / f"{self.port}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and return when it accepts connections."""
        command = ["-m", "uvicorn", "app.main:app", "--port", str(self.port), "--no-access-log"]
        command += ["--timeout-graceful-shutdown", "5"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdout=log, stderr=log, env=dict(os.environ)
            )
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self._process.returncode is None, self._log.read_text(encoding="utf-8")
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    async def end(self, number: signal.Signals) -> None:
        """End by a signal."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def close(self) -> None:
        """End for good."""
        await self.end(signal.SIGKILL)
        self._port.close()


@asynccontextmanager
async def working(folder: Path, count: int) -> AsyncGenerator[list[Worker]]:
    """Run several processes."""
    workers = [Worker(folder) for _ in range(count)]
    try:
        await asyncio.gather(*(worker.start() for worker in workers))
        yield workers
    finally:
        await asyncio.gather(*(worker.close() for worker in workers))


class Client:
    """A client as the documentation describes it: it resumes, and sends unacknowledged messages again."""

    def __init__(self, name: str, room: str, token: str | None, workers: list[Worker]) -> None:
        self.ids: list[int] = []
        self.bodies: list[str] = []
        self.sent: list[str] = []
        self.unsent: dict[str, str] = {}
        self.codes: list[int] = []
        self.refusals: list[int] = []
        self.at: Worker | None = None
        self.unavailable = 0
        self.active = True
        self._name = name
        self._room = room
        # Half of them speak the first version.
        self._protocols = protocols(token, BATCHED if len(name) % 2 else SINGLE)
        self._workers = workers
        self._dice = random.Random(name)  # noqa: S311 - when to reconnect, and where

    async def run(self) -> None:
        """Send and receive until cancelled."""
        while True:
            worker = self._dice.choice(self._workers)
            url = f"ws://127.0.0.1:{worker.port}{ROOMS}/{self._room}/ws?after={self.ids[-1] if self.ids else 0}"
            options: dict[str, Any] = {"compression": None, "proxy": None, "max_queue": None, "close_timeout": 0.1}
            try:
                async with connect(url, subprotocols=self._protocols, **options) as connection:
                    self.at = worker
                    sending = asyncio.create_task(self._send_all(connection))
                    try:
                        while True:
                            for frame in messages_in(json.loads(await connection.recv())):
                                await self._receive(connection, frame)
                    finally:
                        self.at = None
                        sending.cancel()
                        await asyncio.gather(sending, return_exceptions=True)
            except ConnectionClosed as closed:
                self.codes.append(closed.rcvd.code if closed.rcvd else 1006)
            except InvalidStatus as refused:
                self.refusals.append(refused.response.status_code)
            except (OSError, WebSocketException, EOFError):
                pass
            await asyncio.sleep(self._dice.uniform(0.05, 0.3))

    async def _send_all(self, connection: ClientConnection) -> None:
        for client_id in list(self.unsent):
            await self._send(connection, client_id)
        while True:
            await asyncio.sleep(self._dice.uniform(2, 8))
            if not self.active:
                return
            client_id = f"{self._name}-{len(self.sent)}"
            self.unsent[client_id] = f"{self._name} sends {len(self.sent)}"
            self.sent.append(client_id)
            await self._send(connection, client_id)

    async def _send(self, connection: ClientConnection, client_id: str) -> None:
        body = self.unsent[client_id]
        await connection.send(json.dumps({"type": "message", "client_id": client_id, "body": body}))

    async def _receive(self, connection: ClientConnection, frame: dict[str, Any]) -> None:
        if frame["type"] == "message":
            self.ids.append(frame["id"])
            self.bodies.append(frame["body"])
            self.unsent.pop(frame["client_id"], None)
        elif frame["type"] == "error":
            assert frame["code"] == "unavailable", frame
            self.unavailable += 1
            await asyncio.sleep(self._dice.uniform(0.2, 1))
            if frame["client_id"] in self.unsent:
                await self._send(connection, frame["client_id"])


async def test_every_message_is_delivered_once(app: FastAPI, breakable: list[Breakable], tmp_path: Path) -> None:
    """Whatever is killed under load, every client receives every message once, in one order."""
    other = create_app()
    async with running(other, signed_in=False) as client, working(tmp_path, 2) as workers, asyncio.timeout(500):
        await sign_in(client)
        room = await open_room(client)
        clients = []
        for n in range(CLIENTS):
            await sign_in(client, f"client-{n}")
            token = client.headers.get("Authorization", "").removeprefix("Bearer ") or None
            clients.append(Client(f"c{n}", room, token, workers))
        tasks = [asyncio.create_task(each.run()) for each in clients]
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            worker = workers[0]
            await until(lambda: sum(each.at is worker for each in clients) >= CLIENTS // 10)  # noqa: B023 - awaited here
            await asyncio.sleep(1)
            workers.remove(worker)
            await worker.end(number)
            await worker.start()
            workers.append(worker)
        for server in breakable:
            await all_send(clients)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.start)
        await all_send(clients)
        for each in clients:
            each.active = False
        sent = [name for each in clients for name in each.sent]
        await until(lambda: all(len(each.ids) >= len(sent) and not each.unsent for each in clients))
        # No further message follows.
        await asyncio.sleep(2)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        stored = await ChatReader(services_of(other).database.read).following(UUID(room), 0, len(sent) + 1)

    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
    for each in clients:
        assert each.ids == list(range(1, len(sent) + 1))
        assert each.bodies == clients[0].bodies
    assert [row.body for row in stored] == clients[0].bodies
    assert sorted(row.client_id for row in stored) == sorted(sent)
    # Clients saw kills and announced restarts; no handshake was refused for another reason.
    assert {1006, 1012} <= {code for each in clients for code in each.codes}
    assert {status for each in clients for status in each.refusals} <= {503}


async def all_send(clients: list[Client]) -> None:
    """Return when all are connected, and half of them have had a new message acknowledged."""
    before = [len(each.sent) - len(each.unsent) for each in clients]
    await until(
        lambda: (
            all(each.at for each in clients)
            and sum(len(each.sent) - len(each.unsent) > count for each, count in zip(clients, before, strict=True))
            > len(clients) // 2
        )
    )


async def until(holds: Callable[[], bool]) -> None:
    """Return when something holds."""
    while not holds():
        await asyncio.sleep(0.05)
