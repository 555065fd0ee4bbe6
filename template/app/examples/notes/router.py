"""HTTP for notes: parse, authorise, status codes and headers."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response, status
from fastapi.responses import HTMLResponse

from app.examples.notes.dependencies import NotesDep, NotesReadDep
from app.examples.notes.schemas import Note, NoteCreate, NoteQuery, NoteUpdate
from app.examples.notes.service import NoteChanged, NoteNotFound
from keel.dependencies import CacheDep
from keel.identity import RESPONSES
from keel.text import SafeStr
from keel.web import errors
from keel.web.etags import etag, matches
from keel.web.pagination import Page, link_header

SCOPES = {"notes:read": "Read your notes", "notes:write": "Change your notes"}

router = APIRouter(prefix="/notes", tags=["notes"], responses=RESPONSES)

IfMatch = Annotated[
    SafeStr | None, Header(description="Act only if the note still has this entity tag; else the answer is 412")
]
IfNoneMatch = Annotated[
    SafeStr | None, Header(description="Send the note only if it has another entity tag; else the answer is 304")
]

NOT_FOUND = errors.responses(NoteNotFound)
CHANGEABLE = errors.responses(NoteNotFound, NoteChanged)


@router.get("")
async def list_notes(
    query: Annotated[NoteQuery, Query()], notes: NotesReadDep, request: Request, response: Response
) -> Page[Note]:
    """List your notes. The `Link` header and `next` lead to the following page."""
    page = await notes.list(query)
    response.headers["Link"] = link_header(request, page.next)
    response.headers["Cache-Control"] = "private, no-cache"
    return page


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_note(data: NoteCreate, notes: NotesDep, request: Request, response: Response) -> Note:
    """Add a note."""
    note = await notes.create(data)
    response.headers["Location"] = f"{request.url.path}/{note.id}"
    response.headers["ETag"] = etag(note.version)
    return note


@router.get(
    "/{note_id}", response_model=Note, responses={**NOT_FOUND, 304: {"description": "You have this version already"}}
)
async def read_note(
    note_id: UUID, notes: NotesReadDep, response: Response, if_none_match: IfNoneMatch = None
) -> Note | Response:
    """Read a note; its `ETag` is for conditional requests."""
    note = await notes.get(note_id)
    headers = {"ETag": etag(note.version), "Cache-Control": "private, no-cache"}
    if matches(if_none_match, note.version, weak=True):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    response.headers.update(headers)
    return note


@router.patch("/{note_id}", responses=CHANGEABLE)
async def update_note(
    note_id: UUID, data: NoteUpdate, notes: NotesDep, response: Response, if_match: IfMatch = None
) -> Note:
    """Change what you send of a note; send the entity tag that you last saw to change nothing unseen."""
    note = await notes.update(note_id, data, if_match=if_match)
    response.headers["ETag"] = etag(note.version)
    return note


@router.delete("/{note_id}", status_code=status.HTTP_204_NO_CONTENT, responses=CHANGEABLE)
async def delete_note(note_id: UUID, notes: NotesDep, if_match: IfMatch = None) -> None:
    """Remove a note."""
    await notes.delete(note_id, if_match=if_match)


@router.get("/{note_id}/html", response_class=HTMLResponse, responses=NOT_FOUND)
async def render_note(note_id: UUID, notes: NotesReadDep, cache: CacheDep) -> HTMLResponse:
    """Read a note as a page, with its body's Markdown rendered."""
    return HTMLResponse(await notes.page(note_id, cache), headers={"Cache-Control": "private, no-cache"})
