"""What starts and stops with the process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import APIRouter, FastAPI

from keel.background.asyncio_tasks import stop
from keel.redis.cache import RedisCache
from keel.redis.client import connect
from keel.redis.link import Link, RedisAway
from keel.redis.pubsub import RedisPubSub
from keel.redis.rate_limit_storage import RedisStorage
from keel.redis.settings import RedisSettings
from keel.redis.urls import Place
from keel.services import services_of

BEAT_SECONDS = 5.0

Beat = Callable[[], Awaitable[None]]

log = structlog.get_logger()


def install_shared(app: FastAPI, settings: RedisSettings) -> None:
    """Put shared implementations in the place of core's in-process ones."""
    link = Link(connect(settings), timeout=settings.timeout)
    cache = RedisCache(link, prefix=settings.prefix)
    pubsub = RedisPubSub(
        link, prefix=settings.prefix, history=settings.history, history_seconds=settings.history_seconds
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        place = Place.parse(settings.url.get_secret_value())
        if settings.deployed and not place.local and not place.tls:
            await log.awarning("redis_without_tls", place=str(place))
        link.open()
        with suppress(RedisAway):
            await link.ping()
        tasks = [
            asyncio.create_task(pubsub.reader.run()),
            asyncio.create_task(keep_beating([pubsub.catch_up, cache.report])),
        ]
        try:
            yield
        finally:
            await stop(*tasks)
            with suppress(RedisAway):
                await cache.report()
            await link.close()

    services_of(app).redis = link
    services_of(app).cache = cache
    services_of(app).pubsub = pubsub
    services_of(app).rate_limit.storage = RedisStorage(
        link, prefix=settings.prefix, fallback=settings.rate_limit_fallback
    )
    services_of(app).checks.add("redis", link.ping, required=settings.required)
    app.include_router(APIRouter(lifespan=lifespan))


async def keep_beating(beats: Sequence[Beat], seconds: float = BEAT_SECONDS) -> None:
    """Do some things every few seconds until cancelled; one that fails is tried again with the next beat."""
    while True:
        await asyncio.sleep(seconds)
        for beat in beats:
            try:
                await beat()
            except RedisAway:
                break
            except Exception:  # noqa: BLE001 - whatever it is, the next beat must come
                await log.aexception("beat_failed")
