"""Redis for all tests.

It is the server at `TEST_REDIS_URL`, or one from a Python package that runs for the session. Only keys with the prefix
of the tests are touched.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis

from keel.redis.client import connect
from keel.redis.connection import GuardedConnection
from keel.redis.settings import RedisSettings
from keel.testing.ports import Port
from keel.testing.support import PATIENCE
from keel.tests.redis.server import Server, breakable

PREFIX = f"{os.environ.get('TEST_REDIS_PREFIX', 'test')}-{os.getpid()}:"

OWN = f"{PREFIX}own:"
"""A prefix that the session's application does not write to; it reports counters every few seconds."""

_PORT = None if os.environ.get("TEST_REDIS_URL") else Port()

ENVIRONMENT = {
    # Known before a server runs: the application may be imported by then.
    "REDIS_URL": f"redis://127.0.0.1:{_PORT.number}/0" if _PORT else os.environ["TEST_REDIS_URL"],
    "REDIS_PREFIX": PREFIX,
    # Generous, for busy machines; tests of outages set shorter ones.
    "REDIS_TIMEOUT": str(PATIENCE),
    "REDIS_POOL_TIMEOUT": str(PATIENCE),
    "REDIS_CONNECT_TIMEOUT": str(PATIENCE),
}

BREAKABLE = breakable

_WIPE = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end"


def pytest_unconfigure() -> None:
    """Release the port, also in a process without tests: the one that distributes them to others."""
    if _PORT:
        _PORT.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Return the URL of a server."""
    if _PORT is None:
        yield ENVIRONMENT["REDIS_URL"]
        return
    with tempfile.TemporaryDirectory(prefix="valkey-") as directory, Server(Path(directory), port=_PORT) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis(redis_url: str) -> Iterator[Redis]:
    """Return a synchronous client for the tests."""
    client = Redis.from_url(redis_url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _wipe_redis(redis: Redis) -> Iterator[None]:
    yield
    redis.eval(_WIPE, 0, f"{PREFIX}*")


@pytest.fixture
async def connection(environment: None) -> AsyncIterator[GuardedConnection]:
    """Return an open connection to the server."""
    settings = RedisSettings.load()
    connection = GuardedConnection(connect(settings), timeout=settings.timeout)
    connection.open()
    yield connection
    await connection.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """Return a running server that the test may pause and kill."""
    with Server(tmp_path) as server:
        yield server
