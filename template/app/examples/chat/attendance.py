"""Who is in a room: those who are connected here, and what other processes say of theirs."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from app.examples.chat.frames import Presence as PresenceFrame
from app.examples.chat.frames import encode
from keel.background.asyncio_tasks import spawn
from keel.messaging.presence import Presence

SHOWN = 100
"""Members that are named; the rest are counted."""

PAUSE = 0.25
"""Seconds in which many who come or go make one change."""

log = structlog.get_logger()


class Attendance:
    """The members of one room."""

    def __init__(self, presence: Presence, topic: str) -> None:
        self.members: list[str] = []
        self.on_change: Callable[[str], None] = lambda _: None
        """Called with a frame that says who is present."""
        self.on_move: Callable[[], Awaitable[None]] | None = None
        """Called when somebody of this process has come or left."""
        self._presence = presence
        self._topic = topic
        self._here: Counter[str] = Counter()
        self._leaving: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking = False

    @property
    def frame(self) -> str:
        """Return who is present, as it is sent."""
        return encode(PresenceFrame(members=self.members[:SHOWN], count=len(self.members)))

    def come(self, member: str) -> None:
        """Count a connection of a member's; several count once."""
        self._here[member] += 1
        if self._here[member] == 1:
            leaving = self._leaving[member] = asyncio.Event()
            self._start(self._attend(member, leaving))

    def go(self, member: str) -> None:
        """Forget a connection that was counted."""
        self._here[member] -= 1
        if not self._here[member]:
            del self._here[member]
            self._leaving.pop(member).set()

    async def _attend(self, member: str, leaving: asyncio.Event) -> None:
        # A task of its own: whoever keeps presence may insist that a block ends where it began.
        async with self._presence.join(self._topic, member):
            await self._moved()
            await leaving.wait()
        await self._moved()

    async def _moved(self) -> None:
        self.look()
        if self.on_move:
            await self.on_move()

    def look(self) -> None:
        """Look soon who is present."""
        if not self._looking:
            self._looking = True
            self._start(self._look())

    async def _look(self) -> None:
        await asyncio.sleep(PAUSE)
        self._looking = False
        members = await self._presence.members(self._topic)
        if members != self.members:
            self.members = members
            self.on_change(self.frame)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Presence is a courtesy: without it, rooms work on.
            log.warning("chat_presence_failed", topic=self._topic, error=repr(error))

    async def end(self) -> None:
        """Leave, and forget."""
        for leaving in self._leaving.values():
            leaving.set()
        while self._tasks:
            await asyncio.wait(self._tasks)
