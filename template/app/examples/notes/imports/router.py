"""HTTP for imports."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, Security, status

from app.examples.notes.imports.schemas import NoteImport
from app.examples.notes.imports.service import FileNotValid, ImportNotFound, ImportService
from keel.caller import Caller
from keel.dependencies import ServicesDep
from keel.identity import current_caller
from keel.web import errors
from keel.web.rate_limit import limit

MAX_BYTES = 10_000_000
"""The largest file; other bodies are limited by MAX_BODY_SIZE."""

router = APIRouter()

FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string", "format": "binary"},
                "example": "title,body,tags\nBuy paint,The blue one.,harbour;boat\n",
            }
        },
    }
}


class NotCsv(errors.AppError):
    """The content type is not CSV in UTF-8."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    type = "urn:problem:not-csv"


async def get_reading(
    caller: Annotated[Caller, Security(current_caller, scopes=["notes:read"])], services: ServicesDep
) -> ImportService:
    """Return the service for a request that reads."""
    return ImportService(services, caller)


async def get_writing(
    caller: Annotated[Caller, Security(current_caller, scopes=["notes:write"])], services: ServicesDep
) -> ImportService:
    """Return the service for a request that writes, in transactions of its own."""
    return ImportService(services, caller)


@router.post(
    "/import",
    status_code=status.HTTP_202_ACCEPTED,
    max_body_size=MAX_BYTES,
    dependencies=[Depends(limit("10/minute"))],
    responses=errors.responses(NotCsv, FileNotValid),
    openapi_extra=FILE,
)
async def import_notes(
    imports: Annotated[ImportService, Depends(get_writing)],
    request: Request,
    response: Response,
    *,
    partial: Annotated[bool, Query(description="Skip invalid rows instead of refusing the file")] = False,
) -> NoteImport:
    """Import notes from a CSV file. Read the progress at `Location`.

    The first row names the columns: `title`, optionally `body` and `tags`; semicolons separate tags. If a row is not
    valid, the response names its line, and nothing is imported.
    """
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if kind.strip() != "text/csv" or ("charset" in parameters and "utf-8" not in parameters):
        raise NotCsv("Send the file as text/csv, in UTF-8.")
    started = await imports.start(request.stream(), partial=partial)
    response.headers["Location"] = f"{request.url.path}s/{started.id}"
    return started


@router.get("/imports/{import_id}", responses=errors.responses(ImportNotFound))
async def read_import(
    import_id: UUID, imports: Annotated[ImportService, Depends(get_reading)], response: Response
) -> NoteImport:
    """Read the progress of an import, and which rows were skipped. A `stalled` import resumes by itself."""
    response.headers["Cache-Control"] = "private, no-cache"
    return await imports.get(import_id)
