"""The context of a job: headers that travel from where it is enqueued to where it runs.

The id of the request goes along, so that the log lines of both can be found together. A feature may send more, such as
the trace that both belong to, and may watch the work being done.
"""

from collections.abc import Generator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

REQUEST_ID = "request_id"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at some work."""

    name: str
    """The job's."""

    id: str
    """The same for all attempts."""

    number: int
    """1 is the first."""

    last: bool
    """Whether there is none after it, should it fail."""

    asked_at: datetime
    headers: Mapping[str, str]
    """What came along."""


class Propagator(Protocol):
    """Sends something along."""

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Add what should go along with work that is asked for now."""

    def attempting(self, attempt: Attempt) -> AbstractContextManager[object]:
        """Hold while an attempt is made, log lines included; an error that ends it comes by, and must go on."""
        ...


class JobContext:
    """Everything that goes along with work."""

    def __init__(self) -> None:
        self._propagators: list[Propagator] = [RequestId()]

    def register(self, propagator: Propagator) -> None:
        """Send something more along."""
        self._propagators.append(propagator)

    def headers(self) -> dict[str, str]:
        """Return what goes along with work that is asked for now."""
        headers: dict[str, str] = {}
        for propagator in self._propagators:
            propagator.inject(headers)
        return headers

    @contextmanager
    def attempting(self, attempt: Attempt) -> Generator[None]:
        """Hold while an attempt is made."""
        with ExitStack() as stack:
            for propagator in self._propagators:
                stack.enter_context(propagator.attempting(attempt))
            yield


class RequestId:
    """The id of the request that asked, in the log lines of the work."""

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Send the id along, if a request asks."""
        if request_id := structlog.contextvars.get_contextvars().get(REQUEST_ID):
            headers[REQUEST_ID] = request_id

    @contextmanager
    def attempting(self, attempt: Attempt) -> Generator[None]:
        """Bind the id that came along, and none but that."""
        found = {REQUEST_ID: attempt.headers[REQUEST_ID]} if REQUEST_ID in attempt.headers else {}
        before = structlog.contextvars.get_contextvars()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**found)
        try:
            yield
        finally:
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(**before)
