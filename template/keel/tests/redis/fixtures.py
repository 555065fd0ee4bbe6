"""Redis for all tests: whatever application they run shares its state there.

It is the server that `TEST_REDIS_URL` names, or else one that comes from a wheel and lives as long as the tests. Only
keys that begin with the tests' own prefix are touched.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis

from keel.redis.client import connect
from keel.redis.link import Link
from keel.redis.settings import RedisSettings
from keel.testing.support import PATIENCE
from keel.tests.redis.server import Server, breakable

PREFIX = f"{os.environ.get('TEST_REDIS_PREFIX', 'test')}-{os.getpid()}:"

OWN = f"{PREFIX}own:"
"""Where the application that runs for all tests writes nothing; under its own prefix it reports every few seconds."""

ENVIRONMENT = {
    "REDIS_URL": lambda request: request.getfixturevalue("redis_url"),
    "REDIS_PREFIX": PREFIX,
    # A busy machine is no outage; tests of outages set what they need.
    "REDIS_TIMEOUT": str(PATIENCE),
    "REDIS_POOL_TIMEOUT": str(PATIENCE),
    "REDIS_CONNECT_TIMEOUT": str(PATIENCE),
}

BREAKABLE = breakable

_WIPE = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Return the URL of a server."""
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="valkey-") as directory, Server(Path(directory)) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis(redis_url: str) -> Iterator[Redis]:
    """Return a client of the tests' own, which waits for its answers."""
    client = Redis.from_url(redis_url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _wipe_redis(redis: Redis) -> Iterator[None]:
    yield
    redis.eval(_WIPE, 0, f"{PREFIX}*")


@pytest.fixture
async def link(environment: None) -> AsyncIterator[Link]:
    """Return a link to the server, as a process has one."""
    settings = RedisSettings.load()
    link = Link(connect(settings), timeout=settings.timeout)
    link.open()
    yield link
    await link.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """Return a running server that a test may pause and kill."""
    with Server(tmp_path) as server:
        yield server
