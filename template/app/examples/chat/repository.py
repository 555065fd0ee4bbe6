"""Queries on rooms and messages."""

from collections.abc import Collection, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import RowMapping, Table, and_, bindparam, insert, or_, select, tuple_, update

from app.examples.chat.models import ChatMessage, Room
from keel.db.database import AnyRow, ReadSession, Session
from keel.web.pagination import Cursor

rooms = cast("Table", Room.__table__)
messages = cast("Table", ChatMessage.__table__)

_ROOM = (rooms.c.id, rooms.c.name, rooms.c.created_by, rooms.c.created_at, rooms.c.last_message_id)
_MESSAGE = (messages.c.id, messages.c.client_id, messages.c.sender, messages.c.body, messages.c.sent_at)

_ONE_ROOM = select(*_ROOM).where(rooms.c.id == bindparam("id"))
_ROOMS = select(*_ROOM).order_by(rooms.c.created_at.desc(), rooms.c.id.desc()).limit(bindparam("limit"))
_ROOMS_AFTER = _ROOMS.where(
    tuple_(rooms.c.created_at, rooms.c.id)
    < tuple_(bindparam("value", type_=rooms.c.created_at.type), bindparam("after_id", type_=rooms.c.id.type))
)
_NEWEST = select(rooms.c.id, rooms.c.last_message_id).where(rooms.c.id.in_(bindparam("ids", expanding=True)))
_HISTORY = (
    select(*_MESSAGE)
    .where(messages.c.room_id == bindparam("room"), messages.c.id < bindparam("before"))
    .order_by(messages.c.id.desc())
    .limit(bindparam("limit"))
)
_FOLLOWING = (
    select(*_MESSAGE)
    .where(messages.c.room_id == bindparam("room"), messages.c.id > bindparam("after"))
    .order_by(messages.c.id)
    .limit(bindparam("limit"))
)


class ChatReader:
    """Reads rooms and messages as rows."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    async def room(self, room_id: UUID) -> AnyRow | None:
        """Return a room."""
        return await self._session.first(_ONE_ROOM, {"id": room_id})

    async def rooms(self, limit: int, after: Cursor[Any] | None) -> Sequence[AnyRow]:
        """Return rooms, newest first: one more than the limit if there is a further page."""
        if after is None:
            return await self._session.all(_ROOMS, {"limit": limit + 1})
        return await self._session.all(_ROOMS_AFTER, {"limit": limit + 1, "value": after.value, "after_id": after.id})

    async def newest(self, room_ids: Collection[UUID]) -> dict[UUID, int]:
        """Return the number of the newest message of each room."""
        rows = await self._session.all(_NEWEST, {"ids": list(room_ids)})
        return {row.id: row.last_message_id for row in rows}

    async def history(self, room_id: UUID, before: int, limit: int) -> Sequence[AnyRow]:
        """Return messages before a number, newest first: one more than the limit if there is a further page."""
        return await self._session.all(_HISTORY, {"room": room_id, "before": before, "limit": limit + 1})

    async def following(self, room_id: UUID, after: int, limit: int) -> Sequence[AnyRow]:
        """Return messages after a number, in order."""
        return await self._session.all(_FOLLOWING, {"room": room_id, "after": after, "limit": limit})


_TAKE = (
    update(rooms)
    .where(rooms.c.id == bindparam("room"))
    .values(last_message_id=rooms.c.last_message_id + bindparam("count"))
    .returning(rooms.c.last_message_id)
)


class ChatRepository:
    """Changes rooms and messages within a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_room(self, room: Room) -> None:
        """Store a new room."""
        self._session.add(room)
        await self._session.flush()

    async def take_numbers(self, room_id: UUID, count: int) -> int:
        """Take the next numbers of a room, and return the last one; other transactions wait until this one ends."""
        return (await self._session.execute(_TAKE, {"room": room_id, "count": count})).scalar_one()

    async def add_messages(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store messages.

        Raises:
            IntegrityError: one of them is stored already.
        """
        await self._session.execute(insert(messages), rows)

    async def stored(self, room_id: UUID, keys: Collection[tuple[str, str]]) -> Sequence[RowMapping]:
        """Return those messages, given by sender and client id, that are stored already."""
        given = or_(*(and_(messages.c.sender == s, messages.c.client_id == c) for s, c in keys))
        statement = select(*_MESSAGE).where(messages.c.room_id == room_id, given)
        return (await self._session.execute(statement)).mappings().all()
