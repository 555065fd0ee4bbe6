"""The rules of imports: valid files, ownership and progress."""

from collections.abc import AsyncIterable, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from app.examples.notes.imports.models import ImportState
from app.examples.notes.imports.repository import ImportRepository
from app.examples.notes.imports.rows import Fault, read_rows
from app.examples.notes.imports.schemas import NoteImport
from keel.caller import Caller
from keel.clock import now
from keel.services import Services
from keel.web.errors import AppError, NotFound

JOB = "notes.import"

MAX_FAULTS = 20
"""Refused rows that a response lists, at most; it also has their number."""

PIECE_ROWS = 50
PIECE_CHARACTERS = 100_000
"""Rows per piece, about: what an upload keeps in memory, and what one transaction imports."""

STALLED = timedelta(minutes=10)
"""An import without progress for this long counts as stalled."""


class ImportNotFound(NotFound):
    """There is no such import, or it belongs to another owner."""

    type = "urn:problem:note-import-not-found"


class FileNotValid(AppError):
    """The file is not valid; `errors` names the lines."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "urn:problem:note-file-not-valid"


class _Upload:
    """The state of an upload."""

    def __init__(self) -> None:
        self.rows = 0
        self.refused: set[int] = set()
        self.faults: list[Fault] = []
        self.fault_count = 0
        self.fatal = False

    def refuse(self, fault: Fault) -> None:
        """Record a fault."""
        self.refused.add(fault.line)
        self.fault_count += 1
        self.fatal |= fault.whole_file
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


class ImportService:
    """Accepts a caller's files, and reports the progress of each."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._database = services.database
        self._jobs = services.jobs
        self._owner_id = caller.subject

    async def get(self, import_id: UUID) -> NoteImport:
        """Return an import.

        Raises:
            ImportNotFound: the caller has no such import.
        """
        row = await ImportRepository(self._database.read).get(id=import_id, owner_id=self._owner_id)
        if row is None:
            raise ImportNotFound("There is no such import.")
        found = NoteImport.model_validate(row)
        if found.state is ImportState.RUNNING and found.updated_at < now() - STALLED:
            found.state = ImportState.STALLED
        return found

    async def start(self, file: AsyncIterable[bytes], *, partial: bool) -> NoteImport:
        """Store the rows of a file as it arrives, and start the job that turns them into notes.

        Each piece has a transaction of its own: none may last as long as a slow upload.

        Args:
            file: a CSV file, in pieces.
            partial: skip invalid rows instead of refusing the file.

        Raises:
            FileNotValid: the file is not CSV, or a row is not valid. Nothing of it is kept.
            ImportNotFound: the owner's account was deleted meanwhile.
        """
        async with self._database.transaction() as session:
            row = await ImportRepository(session).add(owner_id=self._owner_id, state=ImportState.UPLOADING)
        try:
            upload = await self._store(row.id, file)
            if upload.fatal or (upload.faults and not partial):
                raise _not_valid(upload)
            await self._run(row.id, upload)
        except Exception:
            async with self._database.transaction() as session:
                await ImportRepository(session).delete_by_id(row.id)
            raise
        return await self.get(row.id)

    async def _store(self, import_id: UUID, file: AsyncIterable[bytes]) -> _Upload:
        upload, piece, characters, number = _Upload(), list[Any](), 0, 0
        async for row in read_rows(file):
            if isinstance(row, Fault):
                upload.refuse(row)
                continue
            piece.append(row.model_dump(mode="json"))
            characters += len(row.body)
            upload.rows += 1
            if len(piece) == PIECE_ROWS or characters >= PIECE_CHARACTERS:
                await self._store_piece(import_id, number, piece)
                piece, characters, number = [], 0, number + 1
        if piece:
            await self._store_piece(import_id, number, piece)
        return upload

    async def _store_piece(self, import_id: UUID, number: int, notes: Sequence[Any]) -> None:
        async with self._database.transaction() as session:
            if not await ImportRepository(session).add_piece(import_id, number, notes):
                raise ImportNotFound("The import was deleted.")

    async def _run(self, import_id: UUID, upload: _Upload) -> None:
        async with self._database.transaction() as session:
            imports = ImportRepository(session)
            found = await imports.get_for_update(id=import_id)
            if found is None:
                raise ImportNotFound("The import was deleted.")
            await imports.update(
                found,
                state=ImportState.RUNNING,
                rows=upload.rows,
                rows_refused=len(upload.refused),
                refusals=[{"line": fault.line, "reason": str(fault)} for fault in upload.faults],
            )
            await self._jobs.enqueue(session, JOB, {"id": str(import_id)})


def _not_valid(upload: _Upload) -> FileNotValid:
    errors = [
        {
            "location": ["body", fault.line, *([fault.column] if fault.column else [])],
            "message": fault.reason,
            "type": "csv" if fault.whole_file else "row",
        }
        for fault in upload.faults
    ]
    return FileNotValid(
        "The file is not valid, and nothing was imported; `errors` names the lines.",
        members={"errors": errors, "error_count": upload.fault_count},
    )
