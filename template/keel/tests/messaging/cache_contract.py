"""The contract of caches; a test class inherits it and provides a fixture."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from keel.messaging.cache import Cache
from keel.testing.support import PATIENCE, eventually


class Ship(BaseModel):
    """A value."""

    name: str
    length: float


class Compute:
    """Computes values and counts its calls; it can be paused."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.count = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    def hold(self) -> None:
        """Start, but do not finish before `go_on` is set."""
        self.go_on.clear()

    async def __call__(self) -> Any:
        """Compute the value as of the start."""
        self.count += 1
        value = self.value
        self.begun.set()
        await self.go_on.wait()
        if isinstance(value, Exception):
            raise value
        return value


SHIP = Ship(name="Ada", length=12.5)


class CacheContract:
    """The tests, of the fixture `cache`."""

    async def test_computed_once(self, cache: Cache) -> None:
        """A value is computed once; each caller gets its own copy, of the right type."""
        compute = Compute(SHIP)
        values = [await cache.get_or_compute("ship:1", Ship, compute, ttl=60) for _ in range(3)]

        assert values == [SHIP] * 3
        assert len({id(value) for value in values}) == 3
        assert compute.count == 1
        assert (cache.counters.hits, cache.counters.misses) == (2, 1)

    async def test_stampede(self, cache: Cache) -> None:
        """Concurrent callers cause one computation."""
        compute = Compute(SHIP)
        compute.hold()
        asking = [asyncio.create_task(cache.get_or_compute("ship:1", Ship, compute, ttl=60)) for _ in range(50)]
        await compute.begun.wait()
        compute.go_on.set()

        assert await asyncio.gather(*asking) == [SHIP] * 50
        assert compute.count == 1

    async def test_first_caller_is_cancelled(self, cache: Cache) -> None:
        """Later callers still get the value."""
        compute = Compute(SHIP)
        compute.hold()
        first = asyncio.create_task(cache.get_or_compute("ship:1", Ship, compute, ttl=60))
        await compute.begun.wait()
        second = asyncio.create_task(cache.get_or_compute("ship:1", Ship, compute, ttl=60))
        await eventually(lambda: cache.counters.misses == 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        compute.go_on.set()

        assert await second == SHIP
        assert compute.count == 1

    async def test_expiry(self, cache: Cache) -> None:
        """A value expires after its `ttl`."""
        compute = Compute(SHIP)
        async with asyncio.timeout(PATIENCE):
            while compute.count < 2:
                await cache.get_or_compute("ship:1", Ship, compute, ttl=0.02)
                await asyncio.sleep(0.01)

    async def test_invalidation(self, cache: Cache) -> None:
        """A tag invalidates its values, and no others."""
        one, other = Compute(1), Compute(2)
        for _ in range(2):
            assert await cache.get_or_compute("one", int, one, ttl=60, tags=["fleet", "ship:1"]) == 1
            assert await cache.get_or_compute("other", int, other, ttl=60, tags=["fleet", "ship:2"]) == 2
            await cache.invalidate("ship:1", "ship:3")

        assert (one.count, other.count) == (2, 1)
        one.value = 3
        await cache.invalidate("fleet")
        assert await cache.get_or_compute("one", int, one, ttl=60, tags=["fleet", "ship:1"]) == 3
        await cache.get_or_compute("other", int, other, ttl=60, tags=["fleet", "ship:2"])
        assert other.count == 2

    async def test_invalidation_during_a_computation(self, cache: Cache) -> None:
        """A value read before the change is neither stored nor given to later callers."""
        slow = Compute("old")
        slow.hold()
        asking = asyncio.create_task(cache.get_or_compute("name", str, slow, ttl=60, tags=["ship:1"]))
        await slow.begun.wait()
        await cache.invalidate("ship:1")
        new = Compute("new")

        assert await cache.get_or_compute("name", str, new, ttl=60, tags=["ship:1"]) == "new"
        slow.go_on.set()
        assert await asking == "old"
        assert await cache.get_or_compute("name", str, new, ttl=60, tags=["ship:1"]) == "new"
        assert new.count == 1

    async def test_clear(self, cache: Cache) -> None:
        """All values can be deleted at once, with and without tags."""
        one, other = Compute(1), Compute(2)
        for _ in range(2):
            await cache.get_or_compute("one", int, one, ttl=60, tags=["ship:1"])
            await cache.get_or_compute("other", int, other, ttl=60)
            await cache.clear()

        assert (one.count, other.count) == (2, 2)

    async def test_clear_during_a_computation(self, cache: Cache) -> None:
        """A value being computed is not stored."""
        slow = Compute(1)
        slow.hold()
        asking = asyncio.create_task(cache.get_or_compute("one", int, slow, ttl=60))
        await slow.begun.wait()
        await cache.clear()
        slow.go_on.set()
        await asking
        await cache.get_or_compute("one", int, slow, ttl=60)

        assert slow.count == 2

    async def test_negative_caching(self, cache: Cache) -> None:
        """None is stored, too, optionally for a shorter time."""
        maybe = TypeAdapter[Ship | None](Ship | None)
        nothing, shortly, something = Compute(None), Compute(None), Compute(SHIP)
        for _ in range(2):
            assert await cache.get_or_compute("ship:1", maybe, nothing, ttl=600, negative_ttl=600) is None
        async with asyncio.timeout(PATIENCE):
            while shortly.count < 2:
                assert await cache.get_or_compute("ship:2", maybe, shortly, ttl=600, negative_ttl=0.02) is None
                assert await cache.get_or_compute("ship:3", maybe, something, ttl=600, negative_ttl=0.02) == SHIP
                await asyncio.sleep(0.01)
        await cache.get_or_compute("ship:3", maybe, something, ttl=600, negative_ttl=0.02)

        assert (nothing.count, something.count) == (1, 1)

    async def test_errors_are_not_cached(self, cache: Cache) -> None:
        """All waiting callers get the error, and the next caller tries again."""
        compute = Compute(LookupError("no such ship"))
        compute.hold()
        asking = [asyncio.create_task(cache.get_or_compute("ship:1", Ship, compute, ttl=60)) for _ in range(3)]
        await compute.begun.wait()
        compute.go_on.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        compute.value = SHIP

        assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
        assert await cache.get_or_compute("ship:1", Ship, compute, ttl=60) == SHIP
        assert compute.count == 2

    async def test_changed_type(self, cache: Cache) -> None:
        """Code with a changed model never reads values of older code, nor the reverse."""
        older: Callable[..., Any] = Compute(SHIP)

        class Renamed(BaseModel):
            title: str

        newer = Compute(Renamed(title="Ada"))
        for _ in range(2):
            assert await cache.get_or_compute("ship:1", Ship, older, ttl=60) == SHIP
            assert await cache.get_or_compute("ship:1", Renamed, newer, ttl=60) == Renamed(title="Ada")

        assert newer.count == 1
