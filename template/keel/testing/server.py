"""A real server in a thread, for tests of streams: in-process, a response is only available when complete."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import pytest
import uvicorn
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.main import create_app
from keel.services import services_of
from keel.testing.support import PATIENCE

T = TypeVar("T")


class Server:
    """A server and its application; it runs within a `with` block, or from `start` to `stop`."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(app, port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=PATIENCE)
        )
        self._thread = threading.Thread(target=self._uvicorn.run)

    @property
    def url(self) -> str:
        """Return the address that the server listens on."""
        host, port = self._uvicorn.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def state(self) -> dict[str, Any]:
        """The state that the application's lifespans have yielded."""
        return self._uvicorn.lifespan.state

    @property
    def accepting(self) -> bool:
        """Whether the server accepts connections; no longer true once it begins to stop."""
        return self._uvicorn.servers[0].is_serving()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's event loop; objects of that loop can't be awaited in another."""
        loop = self._uvicorn.servers[0].get_loop()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))

    @contextmanager
    def small_buffers(self) -> Generator[None]:
        """Make the operating system buffer little for clients that connect during the block."""
        listening = self._uvicorn.servers[0].sockets[0]
        usual = listening.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, usual // 2)  # Linux doubles the value.

    def start(self) -> None:
        """Start serving."""
        self._thread.start()
        while not self._uvicorn.started and self._thread.is_alive():
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop as on a signal: requests in progress are finished first."""
        if self._thread.is_alive():
            services_of(self.app).shutdown.begin()
            self._uvicorn.should_exit = True
            self._thread.join()

    def __enter__(self) -> Self:
        """Start serving."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def client(self) -> AsyncClient:
        """Return a client of the server. It speaks plain HTTP: loading certificates would take longer than a test."""
        return AsyncClient(base_url=self.url, timeout=PATIENCE, verify=False)


@pytest.fixture(scope="session")
def running_server(environment: None) -> Iterator[Server]:
    """Return the server that runs for all tests; a test that stops one starts its own."""
    with Server(create_app()) as server:
        yield server


@pytest.fixture
def server(app: FastAPI, running_server: Server) -> Iterator[Server]:
    """Return a running server with its own application, on the same database as `app`."""
    yield running_server
    running_server.app.dependency_overrides.clear()
