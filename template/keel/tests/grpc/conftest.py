"""The server of the platform's tests has services of their own."""

from collections.abc import AsyncIterator

import grpc
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.grpc.server import serving
from keel.packages import find_package
from keel.tests.grpc import probe
from keel.tests.grpc.support import Widgets, connected


@pytest.fixture(scope="session")
async def grpc_port(running_app: FastAPI) -> AsyncIterator[int]:
    """Serve the running application; return the port."""
    async with serving(running_app, [find_package(probe.__name__)]) as port:
        yield port


@pytest.fixture(scope="session")
async def grpc_channel(grpc_port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Return a channel to the server."""
    async with connected(grpc_port) as channel:
        yield channel


@pytest.fixture
def widgets(channel: grpc.aio.Channel, client: AsyncClient) -> Widgets:
    """Return a client that calls as the same caller as the HTTP `client`."""
    return Widgets(channel, client.headers.get("Authorization"))
