"""AsyncAPI 3 documents of socket endpoints, generated from the models of their frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from keel import about
from keel.websockets.frames import BEARER, Authenticate, CloseCode, ErrorFrame, Ping, Pong

Frames = Sequence[type[BaseModel]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A socket endpoint; each frame has a field `type` with one literal."""

    name: str
    address: str
    """The path, with parameters in braces."""

    client: Frames
    """The endpoint's own frames that clients send; `Authenticate` and `Ping` are added."""

    server: Frames
    """The endpoint's own frames that the server sends; `Pong` is added, and `errors`."""

    errors: type[BaseModel] = ErrorFrame
    """The frame that rejects one of the client's."""

    description: str = ""
    """Markdown; how to authenticate and the close codes follow."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the path: name to description."""

    query: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the query: name to JSON Schema."""


def document(channel: Channel) -> dict[str, Any]:
    """Return the AsyncAPI document (3.0.0) of a socket endpoint."""
    client = (*channel.client, Authenticate, Ping)
    server = (*channel.server, Pong, channel.errors)
    sides: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((each, "validation") for each in client),
        *((each, "serialization") for each in server),
    ]
    _, schemas = models_json_schema(sides, ref_template="#/components/schemas/{model}")
    frames = (*client, *server)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{about.NAME}: {channel.name}",
            "version": about.VERSION,
            "description": _description(channel),
        },
        "defaultContentType": "application/json",
        "channels": {
            channel.name: {
                "address": channel.address,
                "parameters": {name: {"description": text} for name, text in channel.parameters.items()},
                "messages": {each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in frames},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {"type": "object", "properties": dict(channel.query)},
                        "bindingVersion": "0.1.0",
                    }
                },
            }
        },
        "operations": {
            # An application receives what clients send.
            "fromClient": _operation(channel, "receive", client),
            "fromServer": _operation(channel, "send", server),
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


def _description(channel: Channel) -> str:
    codes = "\n".join(f"- {int(code)}: {code.reason}" for code in CloseCode)
    token = (
        f"Send a token in the handshake, as the subprotocol after `{BEARER}`, or in the first frame. The server closes "
        f"a connection with one of these codes:\n\n{codes}"
    )
    return f"{channel.description}\n\n{token}".lstrip()


def _operation(channel: Channel, action: str, frames: Frames) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{each.__name__}"} for each in frames],
    }
