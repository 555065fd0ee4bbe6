"""A circuit breaker: while a model is down, calls fail at once, and do not reach it."""

import math
import time

from keel.llm.model.errors import ModelUnavailable


class CircuitBreaker:
    """Opens after several consecutive failures; later it lets one call through, which closes or reopens it."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._most = failures
        self._seconds = seconds
        self._failures = 0
        self._open_until: float | None = None

    def check(self) -> None:
        """Return if a call may be tried.

        Raises:
            ModelUnavailable: the breaker is open; `Retry-After` says for how long.
        """
        if self._open_until is not None and (left := self._open_until - time.monotonic()) > 0:
            raise ModelUnavailable("The model is not available; try again later.", retry_after=math.ceil(left))

    def enter(self) -> None:
        """Begin a call: `check`, then refuse others until the outcome of a trial call is known.

        Raises:
            ModelUnavailable: see `check`.
        """
        self.check()
        if self._open_until is not None:
            self._open_until = time.monotonic() + self._seconds

    def succeeded(self) -> None:
        """Close: the model answers."""
        self._failures = 0
        self._open_until = None

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        if self._failures >= self._most:
            self._open_until = time.monotonic() + self._seconds
