"""The gRPC server of the running application, and a channel to it: for your tests, too."""

from collections.abc import AsyncIterator

import grpc
import pytest
from fastapi import FastAPI

from keel.grpc.server import serving
from keel.packages import find_packages
from keel.tests.grpc.support import connected

# The checks run once, at the start: later they would use the connections of a test.
ENVIRONMENT = {"GRPC_PORT": "0", "GRPC_HEALTH_SECONDS": "3600"}


@pytest.fixture(scope="session")
async def grpc_port(running_app: FastAPI) -> AsyncIterator[int]:
    """Serve the running application; return the port."""
    async with serving(running_app, find_packages("app")) as port:
        yield port


@pytest.fixture(scope="session")
async def grpc_channel(grpc_port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Return a channel to the server."""
    async with connected(grpc_port) as channel:
        yield channel


@pytest.fixture
def channel(app: FastAPI, grpc_channel: grpc.aio.Channel) -> grpc.aio.Channel:
    """Return a channel to the server, with an empty database."""
    return grpc_channel
