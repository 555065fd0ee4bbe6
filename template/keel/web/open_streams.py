"""How many long answers are open: each caller has a share, and each process a limit."""

from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

from keel.web.errors import TooManyRequests, Unavailable


class OpenStreams:
    """The streams that this process sends."""

    def __init__(self, per_caller: int, total: int) -> None:
        self._per_caller = per_caller
        self._total = total
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, caller: str) -> Generator[None]:
        """Count a stream of a caller while the block runs.

        Raises:
            TooManyRequests: the caller has `STREAMS_PER_CALLER` streams open.
            Unavailable: the process has `MAX_STREAMS` open.
        """
        headers = {"Retry-After": "10"}
        if self._open[caller] >= self._per_caller:
            raise TooManyRequests("Too many streams are open; close one first.", headers=headers)
        if self._open.total() >= self._total:
            raise Unavailable("This process can send no more streams.", retry_after=10)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]


async def count_stream(connection: HTTPConnection) -> AsyncGenerator[None]:
    """Count a response as one of its caller's streams until it has ended; see `OpenStreams.counted`."""
    services: Any = connection.app.state.services
    with services.streams.counted(services.rate_limit.key(connection.scope)):
        yield


Counted = Annotated[None, Depends(count_stream)]
"""A parameter of path operations that stream by other means than `event_stream`, which counts by itself."""
