"""Rooms and messages of an account that is deleted or merged."""

from sqlalchemy import String, cast, select, update

from app.examples.chat.models import ChatMessage, Room
from keel.db.database import Session
from keel.services import Services

DELETED = "deleted"
"""The sender of messages whose account was deleted."""


class ChatAccountData:
    """Rooms and messages of a subject."""

    async def delete(self, session: Session, subject: str) -> None:
        """Empty a subject's messages. Their rows stay, since gapless numbers show what a client has missed."""
        await self._rename(session, subject, DELETED, body="")

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer a subject's rooms and messages to another."""
        await self._rename(session, old, new)

    async def _rename(self, session: Session, old: str, new: str, **values: str) -> None:
        await session.execute(update(Room).where(Room.created_by == old).values(created_by=new))
        # By room: then the index of the unique constraint finds them.
        theirs = (ChatMessage.room_id.in_(select(Room.id)), ChatMessage.sender == old)
        # Both may have used the same client id; these messages are never sent again.
        renamed = {"sender": new, "client_id": "~" + cast(ChatMessage.id, String(20)), **values}
        await session.execute(
            update(ChatMessage).where(*theirs).values(renamed), execution_options={"synchronize_session": False}
        )


def account_data(_: Services) -> ChatAccountData:
    """Return the handler of rooms and messages, for `keel.auth`."""
    return ChatAccountData()
