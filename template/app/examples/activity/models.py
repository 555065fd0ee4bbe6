"""The table of the read model."""

from datetime import date

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from keel.db.models import Base


class Activity(Base):
    """How many notes of an owner were created, updated and deleted on one day (UTC)."""

    __tablename__ = "note_activity"

    owner_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    created: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    deleted: Mapped[int] = mapped_column(default=0)
