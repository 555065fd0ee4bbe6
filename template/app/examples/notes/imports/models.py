"""Tables of imports, and of the rows that wait for theirs."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base, Timestamps


class ImportState(StrEnum):
    """The state of an import."""

    UPLOADING = "uploading"
    RUNNING = "running"
    STALLED = "stalled"
    """Running, but without recent progress. Never stored: it is derived from `updated_at`."""
    DONE = "done"


class NoteImport(Timestamps, Base):
    """A file of one owner, from its upload until its retention ends; `updated_at` is its last progress."""

    __tablename__ = "note_imports"
    __table_args__ = (Index(None, "owner_id"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255))
    state: Mapped[ImportState]
    rows: Mapped[int] = mapped_column(default=0)
    """Valid rows: notes, or still to become notes."""
    rows_done: Mapped[int] = mapped_column(default=0)
    rows_refused: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[list[Any]] = mapped_column(JSON, default=list)
    """The first refused rows: `line` and `reason`."""


class ImportPiece(Base):
    """Rows that are not notes yet: stored, so that neither a large file nor a lost process matters."""

    __tablename__ = "note_import_pieces"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("note_imports.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    notes: Mapped[list[Any]] = mapped_column(JSON)
    """Validated bodies of requests to create a note."""
