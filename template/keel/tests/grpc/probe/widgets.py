"""Widgets over gRPC, in messages that every installation of protobuf has: nothing has to be generated for them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

import grpc
from fastapi import FastAPI
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import ListValue, Struct
from google.protobuf.wrappers_pb2 import StringValue
from pydantic import BaseModel

from keel.caller import Caller
from keel.grpc.asgi_scope import Context
from keel.grpc.auth import Authentication, current_caller
from keel.grpc.errors import validated
from keel.messaging.feed import Feed
from keel.services import services_of
from keel.tests.widgets.schemas import WidgetCreate, WidgetQuery, WidgetUpdate
from keel.tests.widgets.service import WidgetReadService, WidgetService, topic
from keel.web.errors import Unavailable

SERVICE = "tests.Widgets"
READ, WRITE = "widgets:read", "widgets:write"


class Key(BaseModel):
    """Which widget."""

    id: UUID


class Servicer:
    """The methods."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def create(self, request: StringValue, context: Context) -> StringValue:
        """Add a widget with a title; return its id."""
        caller = await current_caller(self._app, context, WRITE)
        data = validated(WidgetCreate, {"title": request.value}, {"title": "value"})
        services = services_of(self._app)
        async with services.database.transaction() as session:
            widget = await WidgetService(session, caller, services.pubsub).create(data)
        return StringValue(value=str(widget.id))

    async def get(self, request: StringValue, context: Context) -> StringValue:
        """Return the title of the widget with an id."""
        widgets = self._reading(await current_caller(self._app, context, READ))
        widget = await widgets.get(validated(Key, {"id": request.value}, {"id": "value"}).id)
        return StringValue(value=widget.title)

    async def list(self, _: Empty, context: Context) -> ListValue:
        """Return the titles of a page."""
        widgets = self._reading(await current_caller(self._app, context, READ))
        answer = ListValue()
        answer.extend([widget.title for widget in (await widgets.list(WidgetQuery())).items])
        return answer

    async def rename(self, request: Struct, context: Context) -> StringValue:
        """Set the `title` of the widget with an `id`."""
        caller = await current_caller(self._app, context, WRITE)
        key = validated(Key, {"id": request["id"]}, {})
        data = validated(WidgetUpdate, {"title": request["title"]}, {})
        services = services_of(self._app)
        async with services.database.transaction() as session:
            widget = await WidgetService(session, caller, services.pubsub).update(key.id, data)
        return StringValue(value=widget.title)

    async def watch(self, _: Empty, context: Context) -> AsyncGenerator[StringValue]:
        """Send each new widget, as JSON, for as long as the token is valid."""
        authentication = await Authentication.of(self._app, context, READ)
        async with Feed.open(services_of(self._app).pubsub, topic(authentication.caller), None) as feed:
            await context.send_initial_metadata(())
            async with aclosing(feed.until(authentication.until_shutdown())) as messages:
                async for message in messages:
                    yield StringValue(value=message.data if message else "")
        raise Unavailable("The stream has ended.")

    def _reading(self, caller: Caller) -> WidgetReadService:
        return WidgetReadService(services_of(self._app).database.read, caller)


def add_service(app: FastAPI, server: grpc.aio.Server) -> str:
    """Serve the methods; return the name of the service."""
    servicer, text = Servicer(app), StringValue.SerializeToString
    handlers = {
        "Create": grpc.unary_unary_rpc_method_handler(servicer.create, StringValue.FromString, text),
        "Get": grpc.unary_unary_rpc_method_handler(servicer.get, StringValue.FromString, text),
        "List": grpc.unary_unary_rpc_method_handler(servicer.list, Empty.FromString, ListValue.SerializeToString),
        "Rename": grpc.unary_unary_rpc_method_handler(servicer.rename, Struct.FromString, text),
        "Watch": grpc.unary_stream_rpc_method_handler(servicer.watch, Empty.FromString, text),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return SERVICE
