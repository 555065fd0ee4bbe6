"""Installs the shared implementations of the ports, and manages their lifecycle."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import APIRouter, FastAPI

from keel.background.asyncio_tasks import stop
from keel.redis.cache import RedisCache
from keel.redis.client import connect
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.pubsub import RedisPubSub
from keel.redis.rate_limit_storage import LEASE_SECONDS, RedisStorage
from keel.redis.settings import RedisSettings
from keel.redis.urls import RedisUrl
from keel.services import services_of

HEARTBEAT_SECONDS = 5.0

log = structlog.get_logger()


def install(app: FastAPI) -> None:
    """Replace the in-process cache, pub/sub and rate limits with shared ones."""
    settings = RedisSettings.load()
    connection = GuardedConnection(connect(settings), timeout=settings.timeout)
    cache = RedisCache(connection, prefix=settings.prefix)
    pubsub = RedisPubSub(
        connection, prefix=settings.prefix, history=settings.stream_maxlen, history_seconds=settings.stream_seconds
    )

    limits = RedisStorage(connection, prefix=settings.prefix, fallback=settings.rate_limit_fallback)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        url = RedisUrl.parse(settings.url.get_secret_value())
        if settings.deployed and not url.local and not url.tls:
            await log.awarning("redis_without_tls", server=str(url))
        connection.open()
        with suppress(RedisUnavailable):
            await connection.ping()
        tasks = [
            asyncio.create_task(pubsub.reader.run()),
            asyncio.create_task(heartbeat([pubsub.catch_up, cache.report])),
            asyncio.create_task(heartbeat([limits.give_back], LEASE_SECONDS)),
        ]
        try:
            yield
        finally:
            await pubsub.drain()
            await stop(*tasks)
            await limits.give_back(everything=True)
            with suppress(RedisUnavailable):
                await cache.report()
            await connection.close()

    services = services_of(app)
    services.redis = connection
    services.cache = cache
    services.pubsub = pubsub
    services.rate_limit.storage = limits
    services.checks.add("redis", connection.ping, required=settings.required)
    app.include_router(APIRouter(lifespan=lifespan))


async def heartbeat(callbacks: Sequence[Callable[[], Awaitable[None]]], seconds: float = HEARTBEAT_SECONDS) -> None:
    """Call back every few seconds until cancelled; a failed callback is called again at the next beat."""
    while True:
        await asyncio.sleep(seconds)
        for callback in callbacks:
            try:
                await callback()
            except RedisUnavailable:
                break
            except Exception:  # noqa: BLE001 - the next beat must come
                await log.aexception("heartbeat_failed")
