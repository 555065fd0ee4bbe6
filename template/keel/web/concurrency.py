"""Limits of concurrency: a share for each caller, and a total for each process."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

from keel.web.errors import TooManyRequests, Unavailable
from keel.web.rate_limit import NETWORKS, site_of


class ConcurrencyLimit:
    """Counts concurrent work of one kind in this process."""

    def __init__(self, what: str, per_caller: int, total: int) -> None:
        """Allow `per_caller` to each caller and `total` in all; problem documents call the work `what`.

        An IPv6 /48 may have the share of `NETWORKS` callers, but no more than half of the total.
        """
        self._what = what
        self._per_caller = per_caller
        self._total = total
        self._per_site = max(per_caller, min(per_caller * NETWORKS, total // 2))
        self._open: Counter[str] = Counter()
        self._sites: Counter[str] = Counter()

    @contextmanager
    def counted(self, caller: str) -> Generator[None]:
        """Count one for a caller while the block runs.

        Raises:
            TooManyRequests: the caller has used its share.
            Unavailable: the process is at its limit.
        """
        site = site_of(caller)
        if self._open[caller] >= self._per_caller or (site and self._sites[site] >= self._per_site):
            raise TooManyRequests(f"Too many {self._what} at once.", headers={"Retry-After": "2"})
        if self._open.total() >= self._total:
            raise Unavailable(f"Too many {self._what} at once.", retry_after=2)
        counts = [(self._open, caller), *([(self._sites, site)] if site else [])]
        for counter, key in counts:
            counter[key] += 1
        try:
            yield
        finally:
            for counter, key in counts:
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]


def limit_concurrency(what: str, *, per_caller: int, total: int) -> Callable[[HTTPConnection], AsyncGenerator[None]]:
    """Return a dependency that limits how many calls of a path operation a process handles at once.

    Use it as `dependencies=[Depends(limit_concurrency("pages", per_caller=8, total=64), scope="function")]` where calls
    queue for each other: then none waits for more than `total` of them, nor for more than `per_caller` of any one
    caller, even a disconnected one. Further calls are refused; see `ConcurrencyLimit.counted`.
    """
    under_way = ConcurrencyLimit(what, per_caller, total)

    async def dependency(connection: HTTPConnection) -> AsyncGenerator[None]:
        with under_way.counted(connection.app.state.services.rate_limit.key(connection.scope)):
            yield

    return dependency


async def count_stream(connection: HTTPConnection) -> AsyncGenerator[None]:
    """Count a response as one of its caller's streams until it ends; see `ConcurrencyLimit.counted`."""
    services: Any = connection.app.state.services
    with services.streams.counted(services.rate_limit.key(connection.scope)):
        yield


Counted = Annotated[None, Depends(count_stream)]
"""A parameter for path operations that stream without `event_stream`, which already counts."""
