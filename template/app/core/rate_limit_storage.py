"""Where rate limits are counted as long as one process does all the counting."""

import time
from collections import OrderedDict

from limits.aio.storage import Storage
from limits.aio.storage.base import SlidingWindowCounterSupport


class InProcessStorage(Storage, SlidingWindowCounterSupport):
    """A storage for `limits` with a bound on what it remembers.

    The library's own memory storage looks through every key for expired ones on each hit; here old keys leave from the
    least recently used end, so a hit costs the same with one client and with a hundred thousand.
    """

    def __init__(self, max_keys: int = 100_000) -> None:
        super().__init__()
        self._max_keys = max_keys
        # key -> (number of the window, hits in it, hits in the one before)
        self._windows: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what this storage may raise: nothing that a caller should foresee."""
        return ValueError

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` hits if the weighted sum of this window and the one before stays within the limit."""
        number, current, previous, fresh = self._window(key, expiry)
        if previous * fresh + current + amount > limit:
            return False
        self._store(key, (number, current + amount, previous))
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return hits and remaining seconds of the window before, then of this one."""
        _, current, previous, fresh = self._window(key, expiry)
        left = fresh * expiry
        return previous, left, current, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002
        """Forget a key."""
        self._windows.pop(key, None)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count hits in a fixed window; return how many there are."""
        number, current, previous, _ = self._window(key, expiry)
        self._store(key, (number, current + amount, previous))
        return current + amount

    async def get(self, key: str) -> int:
        """Return the hits in the last window that was counted."""
        return self._windows.get(key, (0, 0, 0))[1]

    async def get_expiry(self, key: str) -> float:  # noqa: ARG002
        """Return now: windows are aligned to the clock, and only the caller knows how long they are."""
        return time.time()

    async def check(self) -> bool:
        """Say that the storage works."""
        return True

    async def reset(self) -> int | None:
        """Forget everything; return how many keys there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget a key."""
        self._windows.pop(key, None)

    def _window(self, key: str, expiry: int) -> tuple[int, int, int, float]:
        """Return number, hits and hits before of the window, and how much of it is left (1 to 0)."""
        position = time.time() / expiry
        number = int(position)
        stored, current, previous = self._windows.get(key, (number, 0, 0))
        if stored == number - 1:
            current, previous = 0, current
        elif stored != number:
            current, previous = 0, 0
        return number, current, previous, 1 - (position - number)

    def _store(self, key: str, window: tuple[int, int, int]) -> None:
        self._windows[key] = window
        self._windows.move_to_end(key)
        if len(self._windows) > self._max_keys:
            self._windows.popitem(last=False)
