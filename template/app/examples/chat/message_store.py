"""Storing messages: each once, in one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app.examples.chat.repository import ChatRepository
from keel import clock
from keel.db.database import Database

Stored = dict[str, Any]
"""A message as it is stored: the fields of `ChatMessage` without the type."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is not stored yet."""

    sender: str
    client_id: str
    body: str


class MessageStore:
    """Stores messages: each once, numbered in the order in which every client receives them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, room_id: UUID) -> int:
        """Return the number of the newest message, from the primary database."""
        async with self._database.transaction() as session:
            return await ChatRepository(session).take_numbers(room_id, 0)

    async def append(self, room_id: UUID, drafts: Sequence[Draft]) -> tuple[list[Stored], list[Stored]]:
        """Store messages in one transaction; return the new ones, in order, and those that were stored before.

        Raises:
            Unavailable: it is unknown whether they are stored; trying again is safe.
        """
        # Without duplicates, in the order of their first occurrence.
        drafts = list({(draft.sender, draft.client_id): draft for draft in reversed(drafts)}.values())[::-1]
        try:
            async with self._database.transaction() as session:
                return await self._insert(ChatRepository(session), room_id, drafts), []
        except IntegrityError:
            # Rare: a message was sent again.
            async with self._database.transaction() as session:
                return await self._insert_missing(ChatRepository(session), room_id, drafts)

    async def _insert_missing(
        self, repository: ChatRepository, room_id: UUID, drafts: Sequence[Draft]
    ) -> tuple[list[Stored], list[Stored]]:
        # Taking zero numbers just takes the lock: from here on no other transaction can store any of these.
        await repository.take_numbers(room_id, 0)
        rows = await repository.stored(room_id, [(draft.sender, draft.client_id) for draft in drafts])
        known = {(row["sender"], row["client_id"]): dict(row) for row in rows}
        missing = [draft for draft in drafts if (draft.sender, draft.client_id) not in known]
        return await self._insert(repository, room_id, missing) if missing else [], list(known.values())

    async def _insert(self, repository: ChatRepository, room_id: UUID, drafts: Sequence[Draft]) -> list[Stored]:
        last = await repository.take_numbers(room_id, len(drafts))
        # The clock is read under the lock, so that times are in the order of numbers.
        sent_at = clock.now()
        stored = [
            {
                "id": number,
                "client_id": draft.client_id,
                "sender": draft.sender,
                "body": draft.body,
                "sent_at": sent_at,
            }
            for number, draft in enumerate(drafts, last - len(drafts) + 1)
        ]
        await repository.add_messages([{"room_id": room_id, **row} for row in stored])
        return stored
