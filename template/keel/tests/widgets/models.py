"""Tables of widgets and their labels."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, MetaData, String, Text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.database import Database
from keel.db.models import Base, Timestamps


class TestBase(Base):
    """Base of the tests' own tables: no migration creates them, and Alembic ignores them."""

    __abstract__ = True
    __test__ = False
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Widget(Timestamps, TestBase):
    """A widget of one owner."""

    __tablename__ = "widgets"
    __table_args__ = (Index(None, "owner_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text, default="")


class Label(TestBase):
    """A unique name, of a widget or of none."""

    __tablename__ = "widget_labels"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    widget_id: Mapped[UUID | None] = mapped_column(ForeignKey(Widget.id, ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


async def create_tables(database: Database) -> None:
    """Create missing tables in a migrated database."""
    async with database.writer.begin() as connection:
        await connection.run_sync(TestBase.metadata.create_all)
