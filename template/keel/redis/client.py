"""The client: one for the process, with a bounded pool and a limit on every wait."""

from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from keel.redis.seen import SeenCluster, SeenRedis
from keel.redis.settings import RedisSettings
from keel.redis.urls import Place

Client = Redis
"""What commands are called on; a cluster's client has the same ones."""

HEALTH_CHECK_SECONDS = 15
"""A connection that has been idle for longer is asked for a sign of life before it is used."""

CLUSTER_RETRIES = 3
"""How often a cluster's client looks anew who serves a key, after a failover."""

_DRIVER = DriverInfo()


class BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to whichever server the sentinels call the master, no more than so many."""


def connect(settings: RedisSettings) -> Client:
    """Return the client; nothing is opened before it is used."""
    place = Place.parse(settings.url.get_secret_value())
    options: dict[str, Any] = {
        "username": place.username,
        "password": place.password,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        # One round trip less for each connection; nothing here needs what the third version adds.
        "protocol": 2,
        # Once: each connection would look its own version up among what is installed, which takes longer than connecting.
        "driver_info": _DRIVER,
        # Whether a command may be repeated depends on the command: `Link` decides.
        "retry": Retry(NoBackoff(), 0),
    }
    tls = {name: value for name, value in place.options.items() if name.startswith("ssl_")} if place.tls else {}
    match place.kind:
        case "cluster":
            options["retry"] = Retry(NoBackoff(), CLUSTER_RETRIES)
            cluster = SeenCluster(
                startup_nodes=[ClusterNode(host, port) for host, port in place.hosts],
                # The names that were given stay good when every address behind them has changed.
                dynamic_startup_nodes=False,
                max_connections=settings.pool_size,
                ssl=place.tls,
                **options,
                **tls,
            )
            return cast("Client", cluster)
        case "sentinel":
            return _by_sentinel(place, settings, options, tls)
        case "unix":
            del options["socket_connect_timeout"], options["socket_keepalive"]
            options |= {"connection_class": UnixDomainSocketConnection, "path": place.path}
        case "single":
            ((host, port),) = place.hosts
            options |= {"connection_class": SSLConnection if place.tls else Connection, "host": host, "port": port}
    pool = BlockingConnectionPool(
        max_connections=settings.pool_size, timeout=settings.pool_timeout, db=place.db, **options, **tls
    )
    return SeenRedis.from_pool(pool)


async def disconnect(client: Client) -> None:
    """Close every connection."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def _by_sentinel(place: Place, settings: RedisSettings, options: dict[str, Any], tls: dict[str, str]) -> Client:
    sentinels = Sentinel(
        place.hosts,
        sentinel_kwargs={
            **options,
            **tls,
            "ssl": place.tls,
            "username": place.options.get("sentinel_username"),
            "password": place.options.get("sentinel_password"),
        },
    )
    return sentinels.master_for(
        place.service,
        redis_class=SeenRedis,
        connection_pool_class=BlockingSentinelPool,
        max_connections=settings.pool_size,
        timeout=settings.pool_timeout,
        db=place.db,
        ssl=place.tls,
        **options,
        **tls,
    )
