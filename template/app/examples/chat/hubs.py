"""The hubs of a process: made when somebody enters a room, gone when the last one leaves."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Protocol, Self
from uuid import UUID

import structlog
from fastapi import FastAPI

from app.examples.chat.attendance import Attendance
from app.examples.chat.frames import Close
from app.examples.chat.hub import Hub
from app.examples.chat.repository import ChatReader
from app.examples.chat.service import ChatReadService, Journal
from app.examples.chat.settings import ChatSettings
from keel.background.asyncio_tasks import spawn, stop
from keel.services import services_of
from keel.web.errors import TooManyRequests
from keel.web.rate_limit import RateLimit

log = structlog.get_logger()


class Closable(Protocol):
    """A connection, as far as its end is concerned."""

    def close(self, code: Close) -> None:
        """Send what waits, then close."""


class Hubs:
    """Every room in which somebody is connected to this process."""

    def __init__(self, app: FastAPI, settings: ChatSettings) -> None:
        self.settings = settings
        self.connections: set[Closable] = set()
        self.guests = RateLimit("")
        """Counts what guests send, connection by connection."""
        self.draining = False
        """Whether the process is about to stop."""
        self._app = app
        self._reader = ChatReader(services_of(app).database.read)
        self._hubs: dict[UUID, _Open] = {}
        self._callers: Counter[str] = Counter()
        self._settling: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, app: FastAPI, settings: ChatSettings) -> AsyncGenerator[Self]:
        """Keep hubs, look after them, and send everybody away when the process is about to stop."""
        hubs = cls(app, settings)
        work = [spawn(each()) for each in (hubs._poll, hubs._look, hubs._drain)]
        try:
            yield hubs
        finally:
            for connection in list(hubs.connections):
                connection.close(Close.RESTART)
            await stop(*work)
            while hubs._settling:
                await asyncio.wait(hubs._settling)

    def seat(self, caller: str, room_id: UUID) -> "Seat":
        """Return a connection's place in a room."""
        return Seat(self, caller, room_id)

    async def enter(self, room_id: UUID) -> Hub:
        """Be in a room, until `leave`; see `Seat`."""
        found = self._hubs.get(room_id)
        if found is None:
            found = self._hubs[room_id] = _Open()
            found.hub = spawn(self._open(room_id, found))
        found.inside += 1
        try:
            return await asyncio.shield(found.hub)
        except BaseException:
            self.leave(room_id)
            raise

    def leave(self, room_id: UUID) -> None:
        """Be in a room no more."""
        found = self._hubs[room_id]
        found.inside -= 1
        if not found.inside:
            del self._hubs[room_id]
            task = spawn(_close(found))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _open(self, room_id: UUID, place: "_Open") -> Hub:
        await ChatReadService(self._reader).room(room_id)
        services = services_of(self._app)
        hub = Hub(
            room_id,
            reader=self._reader,
            journal=Journal(services.database),
            pubsub=services.pubsub,
            attendance=Attendance(services.presence, Hub.topic(room_id)),
        )
        hub.attendance.on_change = hub.show_presence
        hub.attendance.on_move = hub.tell_presence
        await hub.load()
        place.follow = spawn(hub.follow())
        return hub

    def admit(self, caller: str) -> None:
        """Count a connection of a caller, until `dismiss`.

        Raises:
            TooManyRequests: they have as many as they may have.
        """
        if self._callers[caller] >= self.settings.connections:
            raise TooManyRequests("You have too many connections.", headers={"Retry-After": "10"})
        self._callers[caller] += 1

    def dismiss(self, caller: str) -> None:
        """Forget a connection that was admitted."""
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]

    def _ready(self) -> dict[UUID, Hub]:
        return {
            room_id: found.hub.result()
            for room_id, found in self._hubs.items()
            if found.hub.done() and not found.hub.cancelled() and found.hub.exception() is None
        }

    async def _poll(self) -> None:
        """Find what nobody announced: one query for all rooms."""
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            hubs = self._ready()
            if not hubs:
                continue
            try:
                newest = await self._reader.newest(hubs)
            except Exception as error:  # noqa: BLE001 - the database comes back, and then we look again
                await log.awarning("chat_poll_failed", error=repr(error))
                continue
            for room_id, number in newest.items():
                hubs[room_id].expect(number)

    async def _look(self) -> None:
        """Find who is present elsewhere, or no longer is without having said so."""
        while True:
            await asyncio.sleep(self.settings.presence_seconds)
            for hub in self._ready().values():
                hub.attendance.look()

    async def _drain(self) -> None:
        await services_of(self._app).shutdown.wait()
        self.draining = True
        for connection in list(self.connections):
            connection.close(Close.RESTART)


class Seat:
    """A connection's place in a room: while the block runs, it counts as its caller's and keeps the room open.

    A class, since the frames of functions would take several times its memory for each idle connection.

    Raises:
        TooManyRequests: on entering, if the caller has as many as they may have.
        RoomNotFound: on entering, if there is no such room.
        Unavailable: on entering, if the database cannot be asked.
    """

    __slots__ = ("_caller", "_hubs", "_room_id")

    def __init__(self, hubs: Hubs, caller: str, room_id: UUID) -> None:
        self._hubs = hubs
        self._caller = caller
        self._room_id = room_id

    async def __aenter__(self) -> Hub:
        """Take the place."""
        self._hubs.admit(self._caller)
        try:
            return await self._hubs.enter(self._room_id)
        except BaseException:
            self._hubs.dismiss(self._caller)
            raise

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        self._hubs.leave(self._room_id)
        self._hubs.dismiss(self._caller)


class _Open:
    """A hub, or one that is being made, and how many are inside."""

    hub: asyncio.Task[Hub]

    def __init__(self) -> None:
        self.inside = 0
        self.follow: asyncio.Task[None] | None = None


async def _close(found: _Open) -> None:
    """Let a hub finish what it has begun."""
    with suppress(Exception):
        hub = await found.hub
        await hub.settle()
        await hub.attendance.end()
    if found.follow:
        await stop(found.follow)
