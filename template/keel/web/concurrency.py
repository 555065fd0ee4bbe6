"""How much is under way at once: each caller has a share, and each process a limit."""

from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

from keel.web.errors import TooManyRequests, Unavailable


class ConcurrencyLimit:
    """What this process does at once, of one kind."""

    def __init__(self, what: str, per_caller: int, total: int) -> None:
        """Allow a caller `per_caller`, and all callers `total`, of what problem documents call `what`."""
        self._what = what
        self._per_caller = per_caller
        self._total = total
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, caller: str) -> Generator[None]:
        """Count one for a caller while the block runs.

        Raises:
            TooManyRequests: the caller has its share.
            Unavailable: the process has as many as it may.
        """
        if self._open[caller] >= self._per_caller:
            raise TooManyRequests(f"Too many {self._what} at once.", headers={"Retry-After": "2"})
        if self._open.total() >= self._total:
            raise Unavailable(f"Too many {self._what} at once.", retry_after=2)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]


async def count_stream(connection: HTTPConnection) -> AsyncGenerator[None]:
    """Count a response as one of its caller's streams until it has ended; see `ConcurrencyLimit.counted`."""
    services: Any = connection.app.state.services
    with services.streams.counted(services.rate_limit.key(connection.scope)):
        yield


Counted = Annotated[None, Depends(count_stream)]
"""A parameter of path operations that stream by other means than `event_stream`, which counts by itself."""
