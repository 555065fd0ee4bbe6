"""Where rate limits are counted: a sliding window, approximated by two fixed ones.

Hits of the window before count as far as it still overlaps the last `seconds`.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Rate(NamedTuple):
    """How many hits are allowed in how many seconds."""

    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Window:
    """What one rate says to a hit: whether it is allowed, how many are left, and seconds until more are."""

    allowed: bool
    remaining: int
    reset: float

    @classmethod
    def of(cls, rate: Rate, current: int, previous: int, left: float, *, allowed: bool) -> "Window":
        """Return what to say when the current window has `left` (1 to 0) of its time to go."""
        seconds = left * rate.seconds
        reset = seconds if current else math.inf
        if previous:
            # A hit of the window before slides out at a time.
            reset = min(reset, seconds % (rate.seconds / previous))
        remaining = max(0, rate.amount - math.floor(previous * left + current))
        return cls(allowed, remaining, reset if reset < math.inf else 0.0)


class RateLimitStorage(Protocol):
    """Counts hits. Everything that a request needs to know comes from one call: elsewhere, that is one round trip."""

    async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit against each rate in turn, up to the first that refuses it.

        A hit that is refused counts against nothing from there on. Returns what was asked: the last one may be refused.

        Raises:
            Unavailable: hits can't be counted, and must not be allowed uncounted.
        """
        ...

    async def clear(self, key: str) -> None:
        """Forget the hits of a key. An outage is no error."""


class InProcessStorage:
    """Counts for one process, with a bound on what it remembers: the least recently used keys leave first."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        # key -> rate -> (number of the window, hits in it, hits in the one before)
        self._keys: OrderedDict[str, dict[Rate, tuple[int, int, int]]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._keys)

    async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit; see `RateLimitStorage.hit`."""
        windows = self._keys.get(key)
        if windows is None:
            windows = self._keys[key] = {}
            if len(self._keys) > self._max_keys:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(key)
        now, said = time.time(), []
        for rate in rates:
            position = now / rate.seconds
            number = int(position)
            left = 1 - (position - number)
            stored, current, previous = windows.get(rate, (number, 0, 0))
            if stored == number - 1:
                current, previous = 0, current
            elif stored != number:
                current, previous = 0, 0
            allowed = previous * left + current + 1 <= rate.amount
            current += allowed
            windows[rate] = (number, current, previous)
            said.append(Window.of(rate, current, previous, left, allowed=allowed))
            if not allowed:
                break
        return said

    async def clear(self, key: str) -> None:
        """Forget a key."""
        self._keys.pop(key, None)
