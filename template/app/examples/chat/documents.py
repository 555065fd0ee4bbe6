"""What goes over the socket, for tools: an AsyncAPI 3 document, and JSON Schema of the frames of both sides."""

from typing import Any, Literal, get_args

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.examples.chat.frames import (
    BEARER,
    CLIENT,
    ONE_BY_ONE,
    SERVER,
    TOGETHER,
    Authenticate,
    Close,
    ErrorFrame,
    Messages,
    Ping,
    Pong,
    Ready,
    SendMessage,
)
from app.examples.chat.frames import Presence as PresenceFrame
from app.examples.chat.schemas import ChatMessage
from keel import about

PATH = "/api/v1/chat/asyncapi.json"
_FROM_CLIENT = (SendMessage, Authenticate, Ping)
_FROM_SERVER = (Ready, ChatMessage, Messages, PresenceFrame, Pong, ErrorFrame)


def install(app: FastAPI) -> None:
    """Serve the document."""
    document = asyncapi()

    async def serve(_: Request) -> JSONResponse:
        return JSONResponse(document)

    app.add_route(PATH, serve, include_in_schema=False)


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema (2020-12) for the frames of each side, discriminated by `type`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TOGETHER,
        "client": CLIENT.json_schema(),
        "server": SERVER.json_schema(mode="serialization"),
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document (3.0.0)."""
    sides: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((each, "validation") for each in _FROM_CLIENT),
        *((each, "serialization") for each in _FROM_SERVER),
    ]
    _, schemas = models_json_schema(sides, ref_template="#/components/schemas/{model}")
    frames = (*_FROM_CLIENT, *_FROM_SERVER)
    closes = "\n".join(f"- {int(code)}: {code.meaning}" for code in Close)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{about.NAME}: chat",
            "version": about.VERSION,
            "description": (
                f"Subprotocols `{ONE_BY_ONE}` and `{TOGETHER}`: in the second, messages may share a frame. A token comes in the handshake, as the subprotocol after `{BEARER}`, or in the "
                f"first frame. The server closes a connection with one of these codes:\n\n{closes}"
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            "room": {
                "address": "/api/v1/chat/rooms/{room}/ws",
                "description": "One room.",
                "parameters": {"room": {"description": "The room's id (UUID)."}},
                "messages": {each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in frames},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {
                            "type": "object",
                            "properties": {
                                "after": {
                                    "type": "integer",
                                    "minimum": 0,
                                    "description": "The last message that the client has seen: what followed is sent first.",
                                }
                            },
                        },
                        "bindingVersion": "0.1.0",
                    }
                },
            }
        },
        "operations": {
            # An application receives what clients send.
            "fromClient": _operation("receive", _FROM_CLIENT),
            "fromServer": _operation("send", _FROM_SERVER),
        },
        "components": {
            "messages": {
                each.__name__: {
                    "name": get_args(each.model_fields["type"].annotation)[0],
                    "summary": (each.__doc__ or "").strip(),
                    "payload": {"$ref": f"#/components/schemas/{each.__name__}"},
                }
                for each in frames
            },
            "schemas": schemas["$defs"],
        },
    }


def _operation(action: str, frames: tuple[type, ...]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/room"},
        "messages": [{"$ref": f"#/channels/room/messages/{each.__name__}"} for each in frames],
    }
