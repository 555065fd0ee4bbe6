"""The rules of chat: rooms and pages of their history."""

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from app.examples.chat import models
from app.examples.chat.repository import ChatReader, ChatRepository
from app.examples.chat.schemas import ChatMessage, PageQuery, Room, RoomCreate
from keel import clock
from keel.caller import Caller
from keel.clock import UtcDatetime
from keel.db.database import Session
from keel.web.errors import NotFound
from keel.web.pagination import Cursor, InvalidCursor, Page, decode_cursor

_ROOMS, _MESSAGES = "rooms", "messages"
_MOMENT: TypeAdapter[Any] = TypeAdapter(UtcDatetime)
_NUMBER: TypeAdapter[int] = TypeAdapter(int)
_BEYOND = 2**63 - 1
"""A number that no message reaches."""


class RoomNotFound(NotFound):
    """No room has this id."""

    type = "urn:problem:room-not-found"


class ChatReadService:
    """Reads rooms and their messages."""

    def __init__(self, reader: ChatReader) -> None:
        self._reader = reader

    async def rooms(self, query: PageQuery) -> Page[Room]:
        """Return a page of rooms, newest first.

        Raises:
            InvalidCursor: the cursor belongs to another list.
        """
        after = decode_cursor(query.cursor, _ROOMS, _MOMENT) if query.cursor is not None else None
        rows = await self._reader.rooms(query.limit, after)
        items = [Room.model_validate(row) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return Page(items=items, next=Cursor(items[-1].created_at, items[-1].id).encode(_ROOMS) if more else None)

    async def room(self, room_id: UUID) -> Room:
        """Return a room.

        Raises:
            RoomNotFound: no room has this id.
        """
        row = await self._reader.room(room_id)
        if row is None:
            raise RoomNotFound("No room has this id.")
        return Room.model_validate(row)

    async def messages(self, room_id: UUID, query: PageQuery) -> Page[ChatMessage]:
        """Return a page of the messages of a room, newest first.

        Raises:
            RoomNotFound: no room has this id.
            InvalidCursor: the cursor belongs to another list.
        """
        await self.room(room_id)
        before = _BEYOND
        if query.cursor is not None:
            cursor = decode_cursor(query.cursor, _MESSAGES, _NUMBER)
            if cursor.id != room_id or not 0 < cursor.value <= _BEYOND:
                raise InvalidCursor("This cursor belongs to another room; start again without one.")
            before = cursor.value
        rows = await self._reader.history(room_id, before, query.limit)
        items = [ChatMessage.model_validate(row) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return Page(items=items, next=Cursor(items[-1].id, room_id).encode(_MESSAGES) if more else None)


class ChatService:
    """Opens rooms."""

    def __init__(self, session: Session, caller: Caller) -> None:
        self._rooms = ChatRepository(session)
        self._caller = caller

    async def open(self, data: RoomCreate) -> Room:
        """Open a room."""
        room = models.Room(name=data.name, created_by=self._caller.subject, created_at=clock.now())
        await self._rooms.add_room(room)
        return Room.model_validate(room)
