"""gRPC for notes: read the request, authorise, answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI

from app.examples.notes.grpc import messages
from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2, notes_pb2_grpc
from app.examples.notes.service import NoteService, topic
from keel.caller import Caller
from keel.grpc.asgi_scope import Context
from keel.grpc.auth import Authentication, current_caller
from keel.messaging.feed import Feed
from keel.services import services_of
from keel.web.errors import Unavailable

READ, WRITE = "notes:read", "notes:write"
"""Scopes."""

PAGE_BYTES = 2_097_152
"""Larger pages are cut: clients accept 4 MiB by default."""


class NotesServicer(notes_pb2_grpc.NotesServiceServicer):
    """The service as `app/examples/notes/grpc/protos/keel/notes/v1/notes.proto` describes it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def CreateNote(self, request: notes_pb2.CreateNoteRequest, context: Context) -> notes_pb2.CreateNoteResponse:
        """Add a note."""
        caller = await current_caller(self._app, context, WRITE)
        data = messages.new_note(request.note)
        async with self._changing(caller) as notes:
            note = await notes.create(data)
        return notes_pb2.CreateNoteResponse(note=messages.note_message(note))

    async def GetNote(self, request: notes_pb2.GetNoteRequest, context: Context) -> notes_pb2.GetNoteResponse:
        """Read a note."""
        notes = self._reading(await current_caller(self._app, context, READ))
        note_id, _ = messages.named(request.id)
        return notes_pb2.GetNoteResponse(note=messages.note_message(await notes.get(note_id)))

    async def ListNotes(self, request: notes_pb2.ListNotesRequest, context: Context) -> notes_pb2.ListNotesResponse:
        """List notes. A page that would be too large for clients is read again with fewer."""
        notes = self._reading(await current_caller(self._app, context, READ))
        query = messages.query(request)
        while True:
            page = await notes.list(query)
            response = notes_pb2.ListNotesResponse(
                notes=map(messages.note_message, page.items), next_page_token=page.next or ""
            )
            size, count = response.ByteSize(), len(page.items)
            if size <= PAGE_BYTES or count == 1:
                return response
            query = query.model_copy(update={"limit": max(1, count * PAGE_BYTES // size)})

    async def UpdateNote(self, request: notes_pb2.UpdateNoteRequest, context: Context) -> notes_pb2.UpdateNoteResponse:
        """Change a note."""
        caller = await current_caller(self._app, context, WRITE)
        note_id, precondition = messages.named(request.note.id, request.note.etag, inside="note.")
        data = messages.changes(request)
        async with self._changing(caller) as notes:
            note = await notes.update(note_id, data, precondition)
        return notes_pb2.UpdateNoteResponse(note=messages.note_message(note))

    async def DeleteNote(self, request: notes_pb2.DeleteNoteRequest, context: Context) -> notes_pb2.DeleteNoteResponse:
        """Remove a note."""
        caller = await current_caller(self._app, context, WRITE)
        note_id, precondition = messages.named(request.id, request.etag)
        async with self._changing(caller) as notes:
            await notes.delete(note_id, precondition)
        return notes_pb2.DeleteNoteResponse()

    async def WatchNotes(
        self, request: notes_pb2.WatchNotesRequest, context: Context
    ) -> AsyncGenerator[notes_pb2.WatchNotesResponse]:
        """Stream changes for as long as the caller is authorised."""
        authentication = await Authentication.of(self._app, context, READ)
        after = messages.resumed_after(request)
        async with Feed.open(services_of(self._app).pubsub, topic(authentication.caller), after) as feed:
            # Once a client has received the metadata, it misses no change.
            await context.send_initial_metadata(())
            async with aclosing(feed.until(authentication.until_shutdown())) as heard:
                async for message in heard:
                    yield messages.change(message)
        raise Unavailable("The stream has ended; call again with the last resume token.")

    def _reading(self, caller: Caller) -> NoteService:
        services = services_of(self._app)
        return NoteService(services.database.read, caller, services)

    @asynccontextmanager
    async def _changing(self, caller: Caller) -> AsyncGenerator[NoteService]:
        """Yield the service in one transaction, which is committed before the response."""
        services = services_of(self._app)
        async with services.database.transaction() as session:
            yield NoteService(session, caller, services)
