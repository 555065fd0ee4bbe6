"""The rooms of a process: opened when the first client connects, closed when the last one leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Self
from uuid import UUID

import structlog

from app.examples.chat.live.presence import RoomPresence
from app.examples.chat.live.room import LiveRoom
from app.examples.chat.message_store import MessageStore
from app.examples.chat.repository import ChatReader
from app.examples.chat.service import ChatReadService
from app.examples.chat.settings import ChatSettings
from keel.background.asyncio_tasks import spawn, stop
from keel.services import Services

log = structlog.get_logger()


class RoomRegistry:
    """Every room that has a connection to this process."""

    def __init__(self, services: Services, settings: ChatSettings) -> None:
        self.settings = settings
        self._services = services
        self._reader = ChatReader(services.database.read)
        self._rooms: dict[UUID, _Entry] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, services: Services, settings: ChatSettings) -> AsyncGenerator[Self]:
        """Keep rooms while the block runs; at its end, close every connection and let rooms store what they have."""
        registry = cls(services, settings)
        tasks = [spawn(each()) for each in (registry._poll_messages, registry._poll_presence)]
        try:
            yield registry
        finally:
            services.websockets.drain()
            await stop(*tasks)
            while registry._closing:
                await asyncio.wait(registry._closing)

    async def enter(self, room_id: UUID) -> LiveRoom:
        """Keep a room open until `leave`; see `Membership`."""
        entry = self._rooms.get(room_id)
        if entry is None:
            entry = self._rooms[room_id] = _Entry()
            entry.room = spawn(self._open(room_id, entry))
        entry.connections += 1
        try:
            return await asyncio.shield(entry.room)
        except BaseException:
            self.leave(room_id)
            raise

    def leave(self, room_id: UUID) -> None:
        """Close a room if this was its last connection."""
        entry = self._rooms[room_id]
        entry.connections -= 1
        if not entry.connections:
            del self._rooms[room_id]
            task = spawn(_close(entry))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _open(self, room_id: UUID, entry: "_Entry") -> LiveRoom:
        await ChatReadService(self._reader).room(room_id)
        room = LiveRoom(
            room_id,
            reader=self._reader,
            store=MessageStore(self._services.database),
            pubsub=self._services.pubsub,
            presence=RoomPresence(self._services.presence, LiveRoom.topic(room_id)),
        )
        room.presence.on_change = room.notify
        room.presence.on_local_change = room.publish_presence
        await room.load()
        entry.follow = spawn(room.follow())
        return room

    def _ready(self) -> dict[UUID, LiveRoom]:
        return {
            room_id: entry.room.result()
            for room_id, entry in self._rooms.items()
            if entry.room.done() and not entry.room.cancelled() and entry.room.exception() is None
        }

    async def _poll_messages(self) -> None:
        """Find messages that were not announced: one query for all rooms."""
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            rooms = self._ready()
            if not rooms:
                continue
            try:
                newest = await self._reader.newest(rooms)
            except Exception as error:  # noqa: BLE001 - the next poll finds the same
                await log.awarning("chat_poll_failed", error=repr(error))
                continue
            for room_id, number in newest.items():
                rooms[room_id].expect(number)

    async def _poll_presence(self) -> None:
        """Find members of other processes whose joining or leaving was not announced."""
        while True:
            await asyncio.sleep(self.settings.presence_seconds)
            for room in self._ready().values():
                room.presence.refresh()


class Membership:
    """Keeps a room open for one connection while the block runs.

    A class, since the frames of functions would take several times its memory for each idle connection.

    Raises:
        RoomNotFound: on entering; no room has this id.
        Unavailable: on entering; the database does not answer.
    """

    __slots__ = ("_registry", "_room_id")

    def __init__(self, registry: RoomRegistry, room_id: UUID) -> None:
        self._registry = registry
        self._room_id = room_id

    async def __aenter__(self) -> LiveRoom:
        """Enter the room."""
        return await self._registry.enter(self._room_id)

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        self._registry.leave(self._room_id)


class _Entry:
    """A room, or one that is being opened, and how many connections it has."""

    room: asyncio.Task[LiveRoom]

    def __init__(self) -> None:
        self.connections = 0
        self.follow: asyncio.Task[None] | None = None


async def _close(entry: _Entry) -> None:
    """Let a room finish what it has begun."""
    with suppress(Exception):
        room = await entry.room
        await room.drain()
        await room.presence.close()
    if entry.follow:
        await stop(entry.follow)
