"""Presence: a port, and its default for one process.

A member is present in a topic while a block runs. The default covers this process only; a feature that shares
state between processes replaces `services_of(app).presence`.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class Presence(Protocol):
    """The members that are present in topics."""

    def join(self, topic: str, member: str) -> AbstractAsyncContextManager[None]:
        """Be present until the block ends. The members of a killed process expire."""
        ...

    async def members(self, topic: str) -> list[str]:
        """Return the members that are present: sorted, each once."""
        ...


class InProcessPresence:
    """Presence within this process: it ends with the process, so nothing has to expire."""

    def __init__(self) -> None:
        self._topics: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @asynccontextmanager
    async def join(self, topic: str, member: str) -> AsyncGenerator[None]:
        """Be present until the block ends; a member that joined twice leaves with the second end."""
        self._topics[topic][member] += 1
        try:
            yield
        finally:
            present = self._topics[topic]
            present[member] -= 1
            if not present[member]:
                del present[member]
            if not present:
                del self._topics[topic]

    async def members(self, topic: str) -> list[str]:
        """Return the members that are present: sorted, each once."""
        return sorted(self._topics.get(topic, ()))
