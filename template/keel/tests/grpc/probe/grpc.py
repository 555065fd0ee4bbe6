"""A service that takes and gives bytes, with methods that fail; beside it that of widgets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc
from fastapi import FastAPI

from keel.caller import GUEST
from keel.grpc.asgi_scope import Context
from keel.services import services_of
from keel.tests.grpc.probe.widgets import add_service
from keel.tests.widgets.schemas import WidgetCreate
from keel.tests.widgets.service import WidgetService

NAME = "tests.Probe"


class Waiting:
    """A call that waits in a method, and how it ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()


class Probe:
    """The methods."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def fail(self, _: bytes, __: Context) -> bytes:
        """Raise an unexpected error."""
        raise LookupError("a secret")

    async def fail_late(self, _: bytes, __: Context) -> AsyncGenerator[bytes]:
        """Raise an unexpected error after the first message."""
        yield b"first"
        raise LookupError("a secret")

    async def give_up(self, _: bytes, context: Context) -> bytes:
        """Abort the call through gRPC's context."""
        await context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    async def store_and_wait(self, _: bytes, __: Context) -> bytes:
        """Store a widget and wait forever; `app.state.waiting` shows the progress."""
        waiting: Waiting = self._app.state.waiting
        services = services_of(self._app)
        try:
            async with services.database.transaction() as session:
                await WidgetService(session, GUEST, services.pubsub).create(WidgetCreate(title="half done"))
                waiting.begun.set()
                await asyncio.Event().wait()
        finally:
            waiting.ended.set()
        raise AssertionError("nothing ends the wait")

    async def count(self, requests: AsyncIterator[bytes], _: Context) -> bytes:
        """Return the number of received messages."""
        return str(len([each async for each in requests])).encode()

    async def write(self, request: bytes, context: Context) -> None:
        """Write two messages, as a method that is no generator may."""
        await context.write(request)
        await context.write(request)


def add_services(app: FastAPI, server: grpc.aio.Server) -> Sequence[str]:
    """Serve the methods."""
    probe = Probe(app)
    handlers = {
        "Fail": grpc.unary_unary_rpc_method_handler(probe.fail),
        "FailLate": grpc.unary_stream_rpc_method_handler(probe.fail_late),
        "GiveUp": grpc.unary_unary_rpc_method_handler(probe.give_up),
        "StoreAndWait": grpc.unary_unary_rpc_method_handler(probe.store_and_wait),
        "Count": grpc.stream_unary_rpc_method_handler(probe.count),
        "Write": grpc.unary_stream_rpc_method_handler(probe.write),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    return [NAME, add_service(app, server)]
