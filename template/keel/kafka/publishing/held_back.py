"""Keys whose events a relay leaves in the outbox for a while, so that those of others are published."""

import time

MOST = 1000
"""Keys that a relay remembers; with more, those that it held back first are tried again."""

Pair = tuple[str, str]
"""An aggregate, and a key."""


class HeldBack:
    """Keys that wait, each until a moment of its own."""

    def __init__(self) -> None:
        self._until: dict[Pair, float] = {}

    def add(self, pair: Pair, seconds: float) -> None:
        """Hold a key back."""
        self._until[pair] = max(self._until.get(pair, 0.0), time.monotonic() + seconds)
        while len(self._until) > MOST:
            del self._until[next(iter(self._until))]

    def pairs(self) -> list[Pair]:
        """Return those that wait."""
        now = time.monotonic()
        self._until = {pair: until for pair, until in self._until.items() if until > now}
        return list(self._until)
