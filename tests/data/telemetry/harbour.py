"""An owner's routes that go wrong."""

from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import text

from keel.dependencies import CacheDep, PubSubDep
from keel.messaging.pubsub import SubscriberTooSlow
from keel.otel import plugin
from keel.services import services_of

router = APIRouter(prefix="/harbour")


@router.get("/broken/{number}")
async def broken(number: int, request: Request) -> None:
    """Fail as a statement does that is wrong."""
    async with services_of(request.app).database.transaction() as session:
        await session.execute(text("SELECT depth FROM nowhere"))


@router.get("/overrun")
async def overrun(pubsub: PubSubDep) -> int:
    """Say more than a listener can take; return how much it took."""
    heard = 0
    async with pubsub.subscribe("tides:ada") as messages:
        for number in range(300):
            await pubsub.publish("tides:ada", "tide", str(number))
        try:
            async for _ in messages:
                heard += 1
        except SubscriberTooSlow:
            return heard
    return heard


@router.get("/cached")
async def cached(cache: CacheDep) -> str:
    """Answer from the cache, and forget it now and then."""

    async def compute() -> str:
        return "high"

    value = await cache.get_or_compute("tide", str, compute, ttl=60, tags=["tide"])
    await cache.get_or_compute("tide", str, compute, ttl=60, tags=["tide"])
    await cache.invalidate("tide")
    return value


def install(app: FastAPI) -> None:
    """Add the routes."""
    # Every process exports all that it has at its end, at the same time.
    plugin.FLUSH_SECONDS = 60
    app.include_router(router)
