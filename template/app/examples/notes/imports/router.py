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
"""Of a file; other bodies stay below MAX_BODY_SIZE."""

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
    """The body is not called CSV in UTF-8."""

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
    partial: Annotated[
        bool, Query(description="Leave rows out that are not valid, instead of refusing the file")
    ] = False,
) -> NoteImport:
    """Make notes of a CSV file. `Location` tells how far it is.

    The first row names the columns: `title`, and `body` and `tags` if there are any; semicolons separate tags. Where a row
    is not valid, the answer names its line, and nothing of the file is kept.
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
    """Read how far an import is, and which rows were left out. One that is `stalled` goes on by itself later."""
    response.headers["Cache-Control"] = "private, no-cache"
    return await imports.get(import_id)
