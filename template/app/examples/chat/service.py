"""The rules of chat: what is a page, and how a message is stored once and in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.exc import IntegrityError

from app.examples.chat import models
from app.examples.chat.repository import ChatReader, ChatRepository
from app.examples.chat.schemas import ChatMessage, PageQuery, Room, RoomCreate
from keel import clock
from keel.caller import Caller
from keel.clock import UtcDatetime
from keel.db.database import Database, Session
from keel.web.errors import NotFound
from keel.web.pagination import Cursor, InvalidCursor, Page, decode_cursor

_ROOMS, _MESSAGES = "rooms", "messages"
_MOMENT: TypeAdapter[Any] = TypeAdapter(UtcDatetime)
_NUMBER: TypeAdapter[int] = TypeAdapter(int)
_BEYOND = 2**63 - 1
"""A number that no message reaches."""


Stored = dict[str, Any]
"""A message as it is stored: what `ChatMessage` has, but for the type."""


class RoomNotFound(NotFound):
    """There is no such room."""

    type = "urn:problem:room-not-found"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that somebody wants to say."""

    sender: str
    client_id: str
    body: str


class ChatReadService:
    """Reads rooms and what was said in them."""

    def __init__(self, reader: ChatReader) -> None:
        self._reader = reader

    async def rooms(self, query: PageQuery) -> Page[Room]:
        """Return a page of rooms, the newest first.

        Raises:
            InvalidCursor: the cursor is not of this list.
        """
        after = decode_cursor(query.cursor, _ROOMS, _MOMENT) if query.cursor is not None else None
        rows = await self._reader.rooms(query.limit, after)
        items = [Room.model_validate(row) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return Page(items=items, next=Cursor(items[-1].created_at, items[-1].id).encode(_ROOMS) if more else None)

    async def room(self, room_id: UUID) -> Room:
        """Return a room.

        Raises:
            RoomNotFound: there is none.
        """
        row = await self._reader.room(room_id)
        if row is None:
            raise RoomNotFound("There is no such room.")
        return Room.model_validate(row)

    async def messages(self, room_id: UUID, query: PageQuery) -> Page[ChatMessage]:
        """Return a page of what was said in a room, the newest first.

        Raises:
            RoomNotFound: there is no such room.
            InvalidCursor: the cursor is not of this list.
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


class Journal:
    """Stores what is said: each message once, numbered in the order in which all will see it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, room_id: UUID) -> int:
        """Return the number of the newest message, as the database that is written to knows it."""
        async with self._database.transaction() as session:
            return await ChatRepository(session).take_numbers(room_id, 0)

    async def store(self, room_id: UUID, drafts: Sequence[Draft]) -> tuple[list[Stored], list[Stored]]:
        """Store messages in one transaction; return those that are new, in order, and those that were stored before.

        Raises:
            Unavailable: it is unknown whether they are stored; a later try finds out and repeats nothing.
        """
        # Different names only, in the order of their first mention.
        drafts = list({(draft.sender, draft.client_id): draft for draft in reversed(drafts)}.values())[::-1]
        try:
            async with self._database.transaction() as session:
                return await self._append(ChatRepository(session), room_id, drafts), []
        except IntegrityError:
            # Rare: something was sent again.
            async with self._database.transaction() as session:
                return await self._append_missing(ChatRepository(session), room_id, drafts)

    async def _append_missing(
        self, repository: ChatRepository, room_id: UUID, drafts: Sequence[Draft]
    ) -> tuple[list[Stored], list[Stored]]:
        # Taking no numbers takes the lock: from here on nobody else stores any of these.
        await repository.take_numbers(room_id, 0)
        rows = await repository.stored(room_id, [(draft.sender, draft.client_id) for draft in drafts])
        known = {(row["sender"], row["client_id"]): dict(row) for row in rows}
        missing = [draft for draft in drafts if (draft.sender, draft.client_id) not in known]
        return await self._append(repository, room_id, missing) if missing else [], list(known.values())

    async def _append(self, repository: ChatRepository, room_id: UUID, drafts: Sequence[Draft]) -> list[Stored]:
        last = await repository.take_numbers(room_id, len(drafts))
        # The clock is read under the lock, so that moments are in the order of numbers.
        moment = clock.now()
        stored = [
            {
                "id": number,
                "client_id": draft.client_id,
                "sender": draft.sender,
                "body": draft.body,
                "sent_at": moment,
            }
            for number, draft in enumerate(drafts, last - len(drafts) + 1)
        ]
        await repository.add_messages([{"room_id": room_id, **row} for row in stored])
        return stored
