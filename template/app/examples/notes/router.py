"""HTTP for notes."""

from collections.abc import AsyncIterable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, Security, status
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.examples.notes.imports import router as imports
from app.examples.notes.schemas import Note, NoteCreate, NoteQuery, NoteUpdate
from app.examples.notes.service import NoteChanged, NoteNotFound, NoteService, topic
from keel.caller import Caller
from keel.dependencies import ReadSessionDep, ServicesDep, SessionDep
from keel.idempotency.route import IdempotentRoute
from keel.identity import RESPONSES, current_caller
from keel.web import errors
from keel.web.concurrency import limit_concurrency
from keel.web.conditional import ConditionalDep, NotModified
from keel.web.event_stream import Events, event_stream
from keel.web.pagination import LinksDep, Page

SCOPES = {"notes:read": "Read your notes", "notes:write": "Change your notes"}

router = APIRouter(prefix="/notes", tags=["notes"], responses=RESPONSES, route_class=IdempotentRoute)
router.include_router(imports.router)

NOT_FOUND = errors.responses(NoteNotFound)
CHANGEABLE = errors.responses(NoteNotFound, NoteChanged)

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["notes:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["notes:write"])]


async def get_read_service(session: ReadSessionDep, caller: ReaderDep, services: ServicesDep) -> NoteService:
    """Return the service for a request that reads."""
    return NoteService(session, caller, services)


async def get_service(session: SessionDep, caller: WriterDep, services: ServicesDep) -> NoteService:
    """Return the service for a request that writes, in one transaction."""
    return NoteService(session, caller, services)


async def get_topic(caller: ReaderDep) -> str:
    """Return the topic of changes to the caller's notes."""
    return topic(caller)


NotesReadDep = Annotated[NoteService, Depends(get_read_service)]
NotesDep = Annotated[NoteService, Depends(get_service)]


@router.get("")
async def list_notes(query: Annotated[NoteQuery, Query()], notes: NotesReadDep, links: LinksDep) -> Page[Note]:
    """List your notes. The `Link` header and `next` lead to the following page."""
    return links.add(await notes.list(query))


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_note(data: NoteCreate, notes: NotesDep, request: Request, response: Response) -> Note:
    """Add a note."""
    note = await notes.create(data)
    response.headers["Location"] = f"{request.url.path}/{note.id}"
    response.headers["ETag"] = f'"{note.version}"'
    return note


@router.get("/events", response_class=EventSourceResponse)
async def note_events(
    events: Annotated[Events, Depends(event_stream(get_topic))],
) -> AsyncIterable[ServerSentEvent]:
    """Follow changes to your notes: events `created`, `updated` and `deleted`, each with the note.

    The event `reset` means that changes were lost: read the list again. A connection may end at any time;
    browsers reconnect by themselves and resume after the last event that they saw.
    """
    async for event in events:
        yield event


@router.get("/{note_id}", responses=errors.responses(NoteNotFound, NotModified))
async def read_note(note_id: UUID, notes: NotesReadDep, conditional: ConditionalDep) -> Note:
    """Read a note; its `ETag` is for conditional requests."""
    note = await notes.get(note_id)
    conditional.tag(note.version)
    return note


@router.patch("/{note_id}", responses=CHANGEABLE)
async def update_note(note_id: UUID, data: NoteUpdate, notes: NotesDep, conditional: ConditionalDep) -> Note:
    """Change the fields that you send; with `If-Match`, only if the note is still the version that you last saw."""
    note = await notes.update(note_id, data, conditional.precondition)
    conditional.tag(note.version)
    return note


@router.delete("/{note_id}", status_code=status.HTTP_204_NO_CONTENT, responses=CHANGEABLE)
async def delete_note(note_id: UUID, notes: NotesDep, conditional: ConditionalDep) -> None:
    """Delete a note."""
    await notes.delete(note_id, conditional.precondition)


@router.get(
    "/{note_id}/html",
    response_class=HTMLResponse,
    responses=NOT_FOUND,
    # Few threads render, so all pages wait in one queue. No caller may fill it; lost clients leave little in it.
    dependencies=[Depends(limit_concurrency("pages", per_caller=8, total=64), scope="function")],
)
async def render_note(note_id: UUID, notes: NotesReadDep) -> HTMLResponse:
    """Read a note as a page, with its body's Markdown rendered."""
    return HTMLResponse(await notes.html(note_id), headers={"Cache-Control": "private, no-cache"})
