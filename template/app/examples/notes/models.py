"""Tables of notes and their tags."""

from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from keel.db.models import Base, Timestamps

note_tags = Table(
    "note_tags",
    Base.metadata,
    Column("note_id", ForeignKey("notes.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Tag(Base):
    """A word that an owner files notes under."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(50))


class Note(Timestamps, Base):
    """A note of one owner."""

    __tablename__ = "notes"
    # One index for each order of the list, so that any page costs the same.
    __table_args__ = (
        Index(None, "owner_id", "created_at", "id"),
        Index(None, "owner_id", "updated_at", "id"),
        Index(None, "owner_id", "title", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    search_text: Mapped[str] = mapped_column(Text)
    """Title and body, normalised for search: databases disagree on which letters are equal."""
    version: Mapped[int] = mapped_column(default=1)
    tags: Mapped[list[Tag]] = relationship(secondary=note_tags, lazy="raise", viewonly=True)

    # An update of a row that has changed since it was read affects nothing and raises StaleDataError.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy reads it
