"""The package works with one server, a cluster, and sentinels."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from redis.asyncio import SSLConnection

from keel.background.asyncio_tasks import stop
from keel.redis.cache import RedisCache
from keel.redis.client import BlockingSentinelPool, connect
from keel.redis.connection import GuardedConnection
from keel.redis.pubsub import RedisPubSub
from keel.redis.rate_limit_storage import RedisStorage
from keel.redis.settings import RedisSettings
from keel.testing.ports import Port
from keel.testing.support import eventually
from keel.tests.messaging.pubsub_contract import published
from keel.tests.redis.server import Server
from keel.web.rate_limit import Rate

Use = Callable[[str], Awaitable[None]]


async def use_everything(url: str) -> None:
    """Use each part of the package."""
    settings = RedisSettings.model_validate({"url": url})
    connection = GuardedConnection(connect(settings), timeout=settings.timeout)
    connection.open()
    pubsub = RedisPubSub(connection, prefix="p:")
    reading = asyncio.create_task(pubsub.reader.run())
    try:
        await connection.ping()
        assert [message.data for message in await published(pubsub, "1", "2")] == ["1", "2"]
        cache = RedisCache(connection, prefix="p:")
        for _ in range(2):
            assert await cache.get_or_compute("a", int, _seven, ttl=60, tags=["t", "u"]) == 7
        await cache.invalidate("t", "u")
        await cache.report()
        assert await cache.totals() == {"hits": 1, "misses": 1, "bypassed": 0, "invalidations": 1}
        storage = RedisStorage(connection, prefix="p:", fallback="closed")
        assert (await storage.hit("a", [Rate(2, 60)]))[0].remaining == 1
        await storage.clear("a")
    finally:
        await stop(reading)
        await connection.close()


async def _seven() -> int:
    return 7


async def test_one_server_with_a_password(tmp_path: Path) -> None:
    """User and password come from the URL; the documented permissions suffice."""
    rules = ["~p:*", "&p:*", "+@all", "-@admin", "-@dangerous", "+info"]
    with Server(tmp_path, "--user", "me", "on", ">p@ss", *rules) as server:
        await use_everything(server.url.replace("//", "//me:p%40ss@"))


async def test_socket_file(tmp_path: Path) -> None:
    """A Unix socket works, too."""
    socket = tmp_path / "s"
    with Server(tmp_path, "--unixsocket", str(socket)):
        await use_everything(f"unix://{socket}?db=2")


async def test_cluster(tmp_path: Path) -> None:
    """Each key is sent to its node."""
    bus = Port()
    with closing(bus), Server(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(bus.number)) as server:
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            await eventually(lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")))
        await use_everything(server.url.replace("redis://", "redis+cluster://").removesuffix("/0"))


async def test_sentinel(tmp_path: Path) -> None:
    """Sentinel names the master."""
    places = [tmp_path / name for name in ("master", "sentinel")]
    for place in places:
        place.mkdir()
    with Server(places[0]) as master, Server(places[1], sentinel=True) as sentinel:
        with sentinel.client() as client:
            client.execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", master.port, "1")
        await use_everything(f"redis+sentinel://127.0.0.1:{sentinel.port}/main/1")


def test_tls() -> None:
    """With `rediss` certificates are verified; the URL names the files."""
    url = "rediss://u:p@db.example.com?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem"
    pool = connect(RedisSettings.model_validate({"url": url})).connection_pool
    connection = pool.make_connection()

    assert isinstance(connection, SSLConnection)
    assert connection.ca_certs == "/ca.pem"
    assert (connection.certfile, connection.keyfile) == ("/c.pem", "/k.pem")
    assert connection.cert_reqs == ssl.CERT_REQUIRED
    assert connection.check_hostname


@pytest.mark.parametrize(
    ("option", "expected"),
    [("ssl_check_hostname=false", (ssl.CERT_REQUIRED, False)), ("ssl_cert_reqs=none", (ssl.CERT_NONE, False))],
)
@pytest.mark.parametrize("form", ["rediss://h?{}", "rediss+sentinel://h/main?{}"])
def test_unverified_tls(form: str, option: str, expected: tuple[ssl.VerifyMode, bool]) -> None:
    """The URL may switch verification off, with the same options as a broker's."""
    pool = connect(RedisSettings.model_validate({"url": form.format(option)})).connection_pool
    connection = pool.make_connection()

    assert isinstance(connection, SSLConnection)
    context = connection.ssl_context.get()
    assert (context.verify_mode, context.check_hostname) == expected


def test_sentinel_pool_is_bounded() -> None:
    """The pool of the master is bounded, too."""
    url = "rediss+sentinel://a,b/main"
    pool = connect(RedisSettings.model_validate({"url": url, "pool_size": 3})).connection_pool

    assert isinstance(pool, BlockingSentinelPool)
    assert pool.max_connections == 3
    assert isinstance(pool.make_connection(), SSLConnection)
