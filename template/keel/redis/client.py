"""The client: one per process, with a bounded pool and time limits."""

from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from keel.redis.instrumented import InstrumentedCluster, InstrumentedRedis
from keel.redis.settings import RedisSettings
from keel.redis.urls import RedisUrl

Client = Redis
"""A cluster's client offers the same commands."""

HEALTH_CHECK_SECONDS = 15
"""A connection that was idle for longer is pinged before use."""

CLUSTER_RETRIES = 3
"""How often a cluster's client looks up a key's node again after a failover."""

_DRIVER = DriverInfo()


class BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """A bounded pool of connections to the current master."""


def connect(settings: RedisSettings) -> Client:
    """Return the client; connections are opened on first use."""
    url = RedisUrl.parse(settings.url.get_secret_value())
    options: dict[str, Any] = {
        "username": url.username,
        "password": url.password,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        # RESP2 saves a round trip per connection; nothing here needs RESP3.
        "protocol": 2,
        # Shared: otherwise each connection looks up the version in package metadata, which is slower than connecting.
        "driver_info": _DRIVER,
        # Off: `GuardedConnection` retries, if the command is idempotent.
        "retry": Retry(NoBackoff(), 0),
    }
    tls = url.tls_options
    match url.kind:
        case "cluster":
            options["retry"] = Retry(NoBackoff(), CLUSTER_RETRIES)
            cluster = InstrumentedCluster(
                startup_nodes=[ClusterNode(host, port) for host, port in url.hosts],
                # The configured names stay valid when all addresses behind them change.
                dynamic_startup_nodes=False,
                max_connections=settings.pool_size,
                ssl=url.tls,
                **options,
                **tls,
            )
            return cast("Client", cluster)
        case "sentinel":
            return _by_sentinel(url, settings, options, tls)
        case "unix":
            del options["socket_connect_timeout"], options["socket_keepalive"]
            options |= {"connection_class": UnixDomainSocketConnection, "path": url.path}
        case "single":
            ((host, port),) = url.hosts
            options |= {"connection_class": SSLConnection if url.tls else Connection, "host": host, "port": port}
    pool = BlockingConnectionPool(
        max_connections=settings.pool_size, timeout=settings.pool_timeout, db=url.db, **options, **tls
    )
    return InstrumentedRedis.from_pool(pool)


async def disconnect(client: Client) -> None:
    """Close every connection."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def _by_sentinel(url: RedisUrl, settings: RedisSettings, options: dict[str, Any], tls: dict[str, str | bool]) -> Client:
    sentinels = Sentinel(
        url.hosts,
        sentinel_kwargs={
            **options,
            **tls,
            "ssl": url.tls,
            "username": url.options.get("sentinel_username"),
            "password": url.options.get("sentinel_password"),
        },
    )
    return sentinels.master_for(
        url.service,
        redis_class=InstrumentedRedis,
        connection_pool_class=BlockingSentinelPool,
        max_connections=settings.pool_size,
        timeout=settings.pool_timeout,
        db=url.db,
        ssl=url.tls,
        **options,
        **tls,
    )
