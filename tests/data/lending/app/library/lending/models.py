"""The table of loans."""

from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.books.models import Book
from keel.db.models import Base, Timestamps


class Loan(Timestamps, Base):
    """A book of an owner that someone has borrowed."""

    __tablename__ = "loans"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    book_id: Mapped[UUID] = mapped_column(ForeignKey(Book.id, ondelete="CASCADE"), index=True)
    borrower: Mapped[str] = mapped_column(String(200))
