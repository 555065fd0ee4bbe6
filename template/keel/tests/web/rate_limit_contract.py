"""What every rate-limit storage does; a test class inherits it and says how one is made."""

import asyncio

from keel.web.rate_limit import Rate, RateLimitStorage


class RateLimitContract:
    """The tests; a fixture `storage` is what is tested."""

    async def test_as_many_as_allowed(self, storage: RateLimitStorage) -> None:
        """So many hits are allowed, however many come at once; other keys are counted apart."""
        rates = [Rate(5, 3600)]
        said = await asyncio.gather(*(storage.hit("a", rates) for _ in range(20)))

        assert sum(window.allowed for (window,) in said) == 5
        assert sorted(window.remaining for (window,) in said if window.allowed) == [0, 1, 2, 3, 4]
        assert all(0 < window.reset <= 3600 for (window,) in said)
        assert (await storage.hit("b", rates))[0].remaining == 4

    async def test_refused_hits_count_against_nothing_else(self, storage: RateLimitStorage) -> None:
        """Rates are asked in turn; the first that refuses ends it."""
        rates = [Rate(2, 1800), Rate(10, 3600)]
        said = [await storage.hit("a", rates) for _ in range(4)]

        assert [[window.allowed for window in windows] for windows in said] == [
            [True, True],
            [True, True],
            [False],
            [False],
        ]
        assert (await storage.hit("a", rates[1:]))[0].remaining == 7

    async def test_clear(self, storage: RateLimitStorage) -> None:
        """What is forgiven is forgotten."""
        rates = [Rate(1, 3600)]
        await storage.hit("a", rates)
        await storage.clear("a")

        assert (await storage.hit("a", rates))[0].allowed
        assert not (await storage.hit("a", rates))[0].allowed
