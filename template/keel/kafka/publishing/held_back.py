"""Keys whose events a relay skips for a while, so that others are published."""

import time

MOST = 1000
"""Maximum number of keys held back; above that, the earliest are tried again."""

Pair = tuple[str, str]
"""An aggregate and a key."""


class HeldBack:
    """Keys that are held back, each until its own deadline."""

    def __init__(self) -> None:
        self._until: dict[Pair, float] = {}

    def add(self, pair: Pair, seconds: float) -> None:
        """Hold a key back, or extend its deadline."""
        self._until[pair] = max(self._until.get(pair, 0.0), time.monotonic() + seconds)
        while len(self._until) > MOST:
            del self._until[next(iter(self._until))]

    def pairs(self) -> list[Pair]:
        """Return the keys that are held back now."""
        now = time.monotonic()
        self._until = {pair: until for pair, until in self._until.items() if until > now}
        return list(self._until)
