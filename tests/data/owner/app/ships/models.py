"""The table of ships."""

from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class Ship(Base):
    """A caller's ship."""

    __tablename__ = "ships"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255), index=True, info={"stays": "a ship outlives its crew"})
    name: Mapped[str] = mapped_column(String(100))
