"""Descriptions of the socket for tools: an AsyncAPI 3 document, and JSON Schema of the frames."""

from typing import Any

from app.examples.chat.live.frames import (
    BATCHED,
    CLIENT,
    SERVER,
    SINGLE,
    Members,
    MessageError,
    Messages,
    Ready,
    SendMessage,
)
from app.examples.chat.schemas import ChatMessage
from keel.websockets.asyncapi import Channel, document

CHANNEL = Channel(
    name="room",
    address="/api/v1/chat/rooms/{room}/ws",
    description=f"Subprotocols `{SINGLE}` and `{BATCHED}`: in the second, messages may share a frame.",
    client=[SendMessage],
    server=[Ready, ChatMessage, Messages, Members],
    errors=MessageError,
    parameters={"room": "The id of the room (UUID)."},
    query={
        "after": {
            "type": "integer",
            "minimum": 0,
            "description": "The last message that the client has seen: the messages after it are sent first.",
        }
    },
)


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document (3.0.0)."""
    return document(CHANNEL)


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of the frames of each side, discriminated by `type`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": BATCHED,
        "client": CLIENT.json_schema(),
        "server": SERVER.json_schema(mode="serialization"),
    }
