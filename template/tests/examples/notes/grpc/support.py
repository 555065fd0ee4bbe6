"""A client of the notes service."""

from typing import Any

import grpc
from google.protobuf.message import Message

from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2, notes_pb2_grpc
from keel.tests.grpc.support import TIMEOUT


class Notes:
    """Calls methods of the service of notes, with a token."""

    def __init__(self, channel: grpc.aio.Channel, authorization: str | None) -> None:
        self._stub = notes_pb2_grpc.NotesServiceStub(channel)
        self.metadata = (("authorization", authorization),) if authorization else ()

    def call(self, method: str, request: Message, *metadata: tuple[str, str]) -> Any:
        """Call a method; the call can be awaited, or read as a stream."""
        return getattr(self._stub, method)(request, timeout=TIMEOUT, metadata=(*self.metadata, *metadata))

    async def create(self, title: str = "A note", **fields: Any) -> notes_pb2.Note:
        """Add a note."""
        note = notes_pb2.Note(title=title, **fields)
        return (await self.call("CreateNote", notes_pb2.CreateNoteRequest(note=note))).note

    async def get(self, id_: str) -> notes_pb2.Note:
        """Read a note."""
        return (await self.call("GetNote", notes_pb2.GetNoteRequest(id=id_))).note

    async def list(self, **fields: Any) -> notes_pb2.ListNotesResponse:
        """Read a page."""
        return await self.call("ListNotes", notes_pb2.ListNotesRequest(**fields))

    async def update(self, id_: str, *mask: str, **fields: Any) -> notes_pb2.Note:
        """Change a note."""
        request = notes_pb2.UpdateNoteRequest(note=notes_pb2.Note(id=id_, **fields))
        request.update_mask.paths.extend(mask)
        return (await self.call("UpdateNote", request)).note

    async def delete(self, id_: str, etag: str = "") -> None:
        """Remove a note."""
        await self.call("DeleteNote", notes_pb2.DeleteNoteRequest(id=id_, etag=etag))

    async def watch(self, resume_token: str = "") -> Any:
        """Watch changes; return once none is missed any more."""
        call = self.call("WatchNotes", notes_pb2.WatchNotesRequest(resume_token=resume_token))
        await call.initial_metadata()
        return call
