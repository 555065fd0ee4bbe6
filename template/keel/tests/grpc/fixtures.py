"""The gRPC server of the running application, and a client of it."""

from collections.abc import AsyncIterator

import grpc
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.grpc.server import serving
from keel.packages import find_package, find_packages
from keel.tests.grpc import probe
from keel.tests.grpc.support import Notes, connected

# The checks run once, at the start: connections that they use later would be another test's.
ENVIRONMENT = {"RPC_PORT": "0", "RPC_HEALTH_SECONDS": "3600"}


@pytest.fixture(scope="session")
async def rpc_port(running_app: FastAPI) -> AsyncIterator[int]:
    """Serve the application that runs for all tests, and what only tests have; return the port."""
    async with serving(running_app, [*find_packages("app"), find_package(probe.__name__)]) as port:
        yield port


@pytest.fixture(scope="session")
async def rpc_channel(rpc_port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Return a connection to the server."""
    async with connected(rpc_port) as channel:
        yield channel


@pytest.fixture
def channel(app: FastAPI, rpc_channel: grpc.aio.Channel) -> grpc.aio.Channel:
    """Return a connection to the server, whose database is empty."""
    return rpc_channel


@pytest.fixture
def notes(channel: grpc.aio.Channel, client: AsyncClient) -> Notes:
    """Return a client that calls as the same somebody as `client`, which speaks HTTP."""
    return Notes(channel, client.headers.get("Authorization"))
