"""The in-process cache."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.main import create_app
from keel.dependencies import CacheDep
from keel.messaging.cache import InProcessCache
from keel.testing.support import running
from keel.tests.messaging.cache_contract import CacheContract, Compute


class TestInProcessCache(CacheContract):
    """The in-process cache fulfils the contract."""

    @pytest.fixture
    def cache(self) -> InProcessCache:
        """Return a cache."""
        return InProcessCache()


async def test_memory_is_bounded() -> None:
    """The least recently used values are evicted, completely."""
    cache = InProcessCache(max_bytes=3)
    computed = {key: Compute(1) for key in "abcd"}
    for key in "abcad":
        await cache.get_or_compute(key, int, computed[key], ttl=60, tags=[key])
    for key in "acd":
        await cache.get_or_compute(key, int, computed[key], ttl=60, tags=[key])
    await cache.get_or_compute("b", int, computed["b"], ttl=60)

    assert [compute.count for compute in computed.values()] == [1, 2, 1, 1]
    await cache.invalidate(*"abcd")
    assert cache._tagged == {}


async def test_oversized_value() -> None:
    """A value that does not fit is computed each time."""
    cache = InProcessCache(max_bytes=3)
    compute = Compute("too long")
    for _ in range(2):
        assert await cache.get_or_compute("a", str, compute, ttl=60) == "too long"

    assert compute.count == 2


async def test_endpoint_gets_the_cache(app: FastAPI, environment: None) -> None:
    """An endpoint gets the cache as a dependency."""
    other = create_app()
    compute = Compute(7)

    @other.get("/seven")
    async def seven(cache: CacheDep) -> int:
        return await cache.get_or_compute("test:seven", int, compute, ttl=60)

    client: AsyncClient
    async with running(other) as client:
        assert [(await client.get("/seven")).json() for _ in range(2)] == [7, 7]

    assert compute.count == 1
