"""The members of a room: those with a connection to this process, and those that other processes report."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from app.examples.chat.live.frames import Members
from keel.background.asyncio_tasks import spawn
from keel.websockets.frames import encode
from keel.websockets.presence import Presence

SHOWN = 100
"""Members listed by name, at most; the others are only counted."""

DEBOUNCE_SECONDS = 0.25
"""How long joins and leaves are collected into one change."""

log = structlog.get_logger()


class RoomPresence:
    """The members of one room."""

    def __init__(self, presence: Presence, topic: str) -> None:
        self.members: list[str] = []
        self.on_change: Callable[[str], None] = lambda _: None
        """Called with a `Members` frame when the members have changed."""
        self.on_local_change: Callable[[], Awaitable[None]] | None = None
        """Called when a member of this process has joined or left."""
        self._presence = presence
        self._topic = topic
        self._local: Counter[str] = Counter()
        self._leaving: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing = False

    @property
    def frame(self) -> str:
        """The members as a frame."""
        return encode(Members(members=self.members[:SHOWN], count=len(self.members)))

    def join(self, member: str) -> None:
        """Add a connection of a member; several count once."""
        self._local[member] += 1
        if self._local[member] == 1:
            leaving = self._leaving[member] = asyncio.Event()
            self._start(self._stay(member, leaving))

    def leave(self, member: str) -> None:
        """Remove a connection added by `join`."""
        self._local[member] -= 1
        if not self._local[member]:
            del self._local[member]
            self._leaving.pop(member).set()

    async def _stay(self, member: str, leaving: asyncio.Event) -> None:
        # A task of its own: an implementation of presence may require that a block ends in the task that began it.
        async with self._presence.join(self._topic, member):
            await self._local_change()
            await leaving.wait()
        await self._local_change()

    async def _local_change(self) -> None:
        self.refresh()
        if self.on_local_change:
            await self.on_local_change()

    def refresh(self) -> None:
        """Read the members again soon."""
        if not self._refreshing:
            self._refreshing = True
            self._start(self._refresh())

    async def _refresh(self) -> None:
        await asyncio.sleep(DEBOUNCE_SECONDS)
        self._refreshing = False
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
            # Rooms work without presence.
            log.warning("chat_presence_failed", topic=self._topic, error=repr(error))

    async def close(self) -> None:
        """Let all members of this process leave."""
        for leaving in self._leaving.values():
            leaving.set()
        while self._tasks:
            await asyncio.wait(self._tasks)
