"""A client of the gRPC server."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pytest
from fastapi import FastAPI
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from keel.services import services_of
from keel.tests.grpc.probe.widgets import SERVICE

M = TypeVar("M", bound=Message)

TIMEOUT = 20.0
"""Seconds for a call: far more than any takes."""


def connected(
    port: int, credentials: grpc.ChannelCredentials | None = None
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Return a channel to a server on this machine, under the name in its certificate."""
    # Otherwise channels to one address share a connection, across tests.
    options = [("grpc.use_local_subchannel_pool", 1)]
    if credentials is None:
        return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)
    return grpc.aio.secure_channel(f"localhost:{port}", credentials, options)


class Widgets:
    """Calls the widgets service, with a token."""

    def __init__(self, channel: grpc.aio.Channel, authorization: str | None) -> None:
        self._channel = channel
        self.metadata = (("authorization", authorization),) if authorization else ()

    def call(self, method: str, request: Message, *metadata: tuple[str, str]) -> Any:
        """Call a method; the call can be awaited, or read as a stream."""
        make = self._channel.unary_stream if method == "Watch" else self._channel.unary_unary
        answer = ListValue if method == "List" else StringValue
        call = make(f"/{SERVICE}/{method}", type(request).SerializeToString, answer.FromString)
        return call(request, timeout=TIMEOUT, metadata=(*self.metadata, *metadata))

    async def create(self, title: str = "A widget") -> str:
        """Add a widget; return its id."""
        return (await self.call("Create", StringValue(value=title))).value

    async def get(self, id_: str) -> str:
        """Return the title of a widget."""
        return (await self.call("Get", StringValue(value=id_))).value

    async def list(self) -> list[str]:
        """Return the titles of the newest widgets."""
        return list(await self.call("List", Empty()))

    async def rename(self, id_: str, title: str) -> None:
        """Change the title of a widget."""
        request = Struct()
        request.update({"id": id_, "title": title})
        await self.call("Rename", request)

    async def watch(self) -> Any:
        """Watch new widgets; return once no further one can be missed."""
        call = self.call("Watch", Empty())
        await call.initial_metadata()
        return call


@dataclass(frozen=True)
class Refusal:
    """The status of a refused call, with its details."""

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
    """Wait until there are no subscriptions: the server notices a disconnected client a moment later."""
    async with asyncio.timeout(TIMEOUT):
        while services_of(app).pubsub.listeners:
            await asyncio.sleep(0.005)


async def refused(call: Awaitable[Any]) -> Refusal:
    """Await a call that is refused."""
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


async def end_of(stream: Any) -> Refusal:
    """Return the error that ends a stream."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while await stream.read():
            pass
    return refusal(caught.value)
