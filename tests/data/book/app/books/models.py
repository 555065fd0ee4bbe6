"""The table of books."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class BookStatus(StrEnum):
    """The status of a book."""

    UNREAD = "unread"
    READING = "reading"
    READ = "read"


class Book(Base):
    """A book of one owner."""

    __tablename__ = "books"
    __table_args__ = (
        UniqueConstraint("owner_id", "isbn"),
        Index(None, "owner_id", "title", "id"),
        Index(None, "owner_id", "author", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(String(200))
    author: Mapped[str] = mapped_column(String(200))
    isbn: Mapped[str] = mapped_column(String(13))
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    published: Mapped[date | None]
    status: Mapped[BookStatus]
