"""The contract of rate-limit storages; a test class inherits it and provides a fixture."""

import asyncio

from keel.web.rate_limit import Rate, RateLimitStorage


class RateLimitContract:
    """The tests, of the fixture `storage`."""

    async def test_limit_holds_for_concurrent_hits(self, storage: RateLimitStorage) -> None:
        """The limit holds however many hits come at once; other keys are counted separately."""
        rates = [Rate(5, 3600)]
        said = await asyncio.gather(*(storage.hit("a", rates) for _ in range(20)))

        assert sum(window.allowed for (window,) in said) == 5
        assert sorted(window.remaining for (window,) in said if window.allowed) == [0, 1, 2, 3, 4]
        assert all(0 < window.reset <= 3600 for (window,) in said)
        assert (await storage.hit("b", rates))[0].remaining == 4

    async def test_refused_hits_do_not_count(self, storage: RateLimitStorage) -> None:
        """Rates are checked in turn, up to the first that refuses."""
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
        """Clearing a key resets its count."""
        rates = [Rate(1, 3600)]
        await storage.hit("a", rates)
        await storage.clear("a")

        assert (await storage.hit("a", rates))[0].allowed
        assert not (await storage.hit("a", rates))[0].allowed
