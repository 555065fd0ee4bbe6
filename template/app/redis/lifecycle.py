"""What starts and stops with the process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import APIRouter, FastAPI

from app.core.tasks import stop
from app.redis.broadcast import RedisBroadcast
from app.redis.cache import RedisCache
from app.redis.client import connect
from app.redis.link import Link, RedisAway
from app.redis.presence import RedisPresence
from app.redis.rate_limit_storage import RedisStorage
from app.redis.settings import RedisSettings
from app.redis.urls import Place

BEAT_SECONDS = 5.0

Beat = Callable[[], Awaitable[None]]

log = structlog.get_logger()


def install_shared(app: FastAPI, settings: RedisSettings) -> None:
    """Put shared implementations in the place of core's in-process ones."""
    link = Link(connect(settings), timeout=settings.timeout)
    cache = RedisCache(link, prefix=settings.prefix)
    broadcast = RedisBroadcast(
        link, prefix=settings.prefix, history=settings.history, history_seconds=settings.history_seconds
    )
    presence = RedisPresence(link, prefix=settings.prefix)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        place = Place.parse(settings.url.get_secret_value())
        if settings.deployed and not place.local and not place.tls:
            await log.awarning("redis_without_tls", place=str(place))
        link.open()
        with suppress(RedisAway):
            await link.ping()
        tasks = [
            asyncio.create_task(broadcast.reader.run()),
            asyncio.create_task(keep_beating([presence.beat, broadcast.catch_up, cache.report])),
        ]
        try:
            yield
        finally:
            await stop(*tasks)
            with suppress(RedisAway):
                await cache.report()
            await link.close()

    app.state.redis = link
    app.state.cache = cache
    app.state.broadcast = broadcast
    app.state.presence = presence
    app.state.rate_limit.storage = RedisStorage(link, prefix=settings.prefix, fallback=settings.rate_limit_fallback)
    app.state.checks.add("redis", link.ping, required=settings.required)
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
