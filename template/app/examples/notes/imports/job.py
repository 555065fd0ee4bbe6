"""The job: a piece of a file becomes notes in one transaction, which also enqueues the job for the next."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.examples.notes.imports.models import ImportState
from app.examples.notes.imports.repository import ImportRepository
from app.examples.notes.imports.service import JOB, STALLED
from app.examples.notes.schemas import NoteCreate
from app.examples.notes.service import NoteService
from keel.caller import Caller
from keel.clock import now
from keel.db.database import Session
from keel.services import Services


class ImportJob:
    """Imports files. Each row becomes one note, even if jobs run repeatedly or concurrently."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self, session: Session, payload: Mapping[str, Any]) -> None:
        """Import the next piece of a file."""
        imports = ImportRepository(session)
        # Every process that starts resumes running imports: surplus jobs for the same import end here, so that they
        # neither wait for each other nor multiply.
        found = await imports.claim(UUID(payload["id"]))
        if found is None:
            return
        piece = await imports.take_piece(found.id)
        if piece:
            notes = NoteService(session, Caller(found.owner_id), self._services)
            await notes.create_all([NoteCreate.model_validate(note) for note in piece])
        done = found.rows_done + len(piece)
        if piece and done < found.rows:
            await imports.update(found, rows_done=done)
            await self._services.jobs.enqueue(session, JOB, payload)
        else:
            await imports.update(found, rows_done=done, state=ImportState.DONE)

    async def resume_stalled(self, session: Session, _: Mapping[str, Any]) -> None:
        """Resume imports without recent progress: their process was lost, or every attempt failed."""
        await self.resume(session, now() - STALLED)

    async def resume(self, session: Session, idle_since: datetime) -> None:
        """Resume imports that have made no progress since a time."""
        for import_id in await ImportRepository(session).idle(idle_since):
            await self._services.jobs.enqueue(session, JOB, {"id": str(import_id)})
