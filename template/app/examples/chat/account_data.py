"""What happens to rooms and messages when somebody goes or changes."""

from sqlalchemy import String, cast, select, update

from app.examples.chat.models import ChatMessage, Room
from keel.db.database import Session
from keel.services import Services

NOBODY = "deleted"
"""Stands for whoever is gone."""


class ChatAccountData:
    """Rooms and messages, as they belong to subjects."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete what a subject said. Its place in the room stays, empty: numbers without a gap tell what was missed."""
        await self._rename(session, subject, NOBODY, body="")

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Give a subject's rooms and messages to another."""
        await self._rename(session, old, new)

    async def _rename(self, session: Session, old: str, new: str, **values: str) -> None:
        await session.execute(update(Room).where(Room.created_by == old).values(created_by=new))
        # By room: then the index of the unique constraint finds them.
        theirs = (ChatMessage.room_id.in_(select(Room.id)), ChatMessage.sender == old)
        # Both may have given a message the same name; nobody sends these again.
        renamed = {"sender": new, "client_id": "~" + cast(ChatMessage.id, String(20)), **values}
        await session.execute(
            update(ChatMessage).where(*theirs).values(renamed), execution_options={"synchronize_session": False}
        )


def account_data(_: Services) -> ChatAccountData:
    """Return the handler of messages, for `keel.auth`."""
    return ChatAccountData()
