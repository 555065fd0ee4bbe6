"""Queries on imports and their pieces."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from app.examples.notes.imports.models import ImportPiece, ImportState, NoteImport
from keel.db.repository import Repository


class ImportRepository(Repository[NoteImport]):
    """Imports, with their pending rows."""

    model = NoteImport

    async def add_piece(self, import_id: UUID, number: int, notes: Sequence[Any]) -> bool:
        """Store rows; return False if the import has been deleted."""
        try:
            await self.writing.execute(insert(ImportPiece).values(import_id=import_id, number=number, notes=notes))
        except IntegrityError:
            return False
        return True

    async def claim(self, import_id: UUID) -> NoteImport | None:
        """Lock and return a running import; None if another transaction has locked it."""
        running = select(NoteImport).where(NoteImport.id == import_id, NoteImport.state == ImportState.RUNNING)
        return (await self.writing.scalars(running.with_for_update(skip_locked=True))).one_or_none()

    async def take_piece(self, import_id: UUID) -> Sequence[Any]:
        """Delete and return the first pending rows; empty if none are left."""
        of_import = ImportPiece.import_id == import_id
        first = select(ImportPiece.number).where(of_import).order_by(ImportPiece.number).limit(1).scalar_subquery()
        taken = delete(ImportPiece).where(of_import, ImportPiece.number == first).returning(ImportPiece.notes)
        return (await self.writing.scalars(taken)).one_or_none() or ()

    async def idle(self, since: datetime) -> Sequence[UUID]:
        """Return the running imports that have made no progress since a time."""
        statement = select(NoteImport.id).where(NoteImport.state == ImportState.RUNNING, NoteImport.updated_at < since)
        return (await self.writing.scalars(statement)).all()

    async def delete_by_id(self, import_id: UUID) -> None:
        """Delete an import and its rows."""
        await self.writing.execute(delete(NoteImport).where(NoteImport.id == import_id))

    async def purge(self, before: datetime, uploads_before: datetime) -> int:
        """Delete imports from before a time, and uploads that never ended; return how many."""
        unended = and_(NoteImport.state == ImportState.UPLOADING, NoteImport.created_at < uploads_before)
        statement = delete(NoteImport).where(or_(NoteImport.created_at < before, unended)).returning(NoteImport.id)
        return len((await self.writing.scalars(statement)).all())
