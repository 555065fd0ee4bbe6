"""Tables of beacons."""

from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class Beacon(Base):
    """A light of one owner."""

    __tablename__ = "beacons"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255), index=True, info={"stays": "a light is everyone's"})
    name: Mapped[str] = mapped_column(String(100))
    candela: Mapped[int] = mapped_column()
