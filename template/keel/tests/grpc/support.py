"""A client of the gRPC server."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pytest
from fastapi import FastAPI
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2, notes_pb2_grpc
from keel.services import services_of

M = TypeVar("M", bound=Message)

TIMEOUT = 20.0
"""Seconds for a call: far more than any takes."""


def connected(
    port: int, credentials: grpc.ChannelCredentials | None = None
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Return a channel to a server on this machine, by the name in its certificate."""
    # Otherwise channels to one address share a connection, across tests.
    options = [("grpc.use_local_subchannel_pool", 1)]
    if credentials is None:
        return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)
    return grpc.aio.secure_channel(f"localhost:{port}", credentials, options)


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


@dataclass(frozen=True)
class Refusal:
    """How a call was refused."""

    code: grpc.StatusCode
    message: str
    metadata: dict[str, Any]
    details: list[Any]

    def detail(self, kind: type[M]) -> M:
        """Return the detail of a kind."""
        (packed,) = [each for each in self.details if each.Is(kind.DESCRIPTOR)]
        found = kind()
        packed.Unpack(found)
        return found

    @property
    def reason(self) -> str:
        """The reason of `ErrorInfo`."""
        return self.detail(error_details_pb2.ErrorInfo).reason

    @property
    def fields(self) -> list[str]:
        """The fields of `BadRequest`, sorted."""
        return sorted(each.field for each in self.detail(error_details_pb2.BadRequest).field_violations)


async def no_listeners(app: FastAPI) -> None:
    """Wait until there are no subscriptions: the server notices a moment later that a client has left."""
    async with asyncio.timeout(TIMEOUT):
        while services_of(app).pubsub.listeners:
            await asyncio.sleep(0.005)


async def refused(call: Awaitable[Any]) -> Refusal:
    """Wait for a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal(caught.value)


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """Return an error as a refusal."""
    # The library reads an error of either kind of channel; its types know one.
    known: Any = error
    status = rpc_status.from_call(known)
    metadata = dict(error.trailing_metadata() or ())
    return Refusal(error.code(), error.details() or "", metadata, list(status.details) if status else [])
