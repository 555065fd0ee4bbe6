"""Tables of rooms and their messages."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class Room(Base):
    """A room, open to every caller."""

    __tablename__ = "chat_rooms"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(100))
    created_by: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column()
    last_message_id: Mapped[int] = mapped_column(BigInteger, default=0)
    """The number of the newest message. Adding one locks this row, so numbers become visible in their order."""


class ChatMessage(Base):
    """A message. Numbers of a room have no gap: 1, 2, 3 and so on."""

    __tablename__ = "chat_messages"
    # A message that is sent again, since its acknowledgement was lost, is stored once.
    __table_args__ = (UniqueConstraint("room_id", "sender", "client_id"),)

    room_id: Mapped[UUID] = mapped_column(ForeignKey("chat_rooms.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sender: Mapped[str] = mapped_column(String(255))
    client_id: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    sent_at: Mapped[datetime] = mapped_column()
