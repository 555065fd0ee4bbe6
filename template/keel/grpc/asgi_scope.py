"""A call as an ASGI scope, so that code for requests, such as the rate limit, also works for calls."""

from typing import Any
from urllib.parse import unquote

import grpc
from starlette.types import Scope

Context = grpc.aio.ServicerContext[Any, Any]
"""The call context that methods receive."""

EXEMPT = "/grpc.health.v1.Health/"
"""Prefix of methods that are neither rate-limited nor traced: probes."""


def asgi_scope(method: str, context: Context) -> Scope:
    """Return a scope with the method as path, metadata as headers and the peer as client."""
    metadata = context.invocation_metadata() or ()
    return {
        "type": "grpc",
        "path": method,
        "headers": [
            (name.encode(), value.encode() if isinstance(value, str) else bytes(value)) for name, value in metadata
        ],
        "client": _client(context.peer()),
    }


def _client(peer: str) -> tuple[str, int] | None:
    """Parse a peer in gRPC's notation: `ipv4:192.0.2.1:50000`, `ipv6:%5B2001:db8::1%5D:50000`, `unix:/path`."""
    kind, _, place = unquote(peer).partition(":")
    host, _, port = place.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in {"ipv4", "ipv6"} and port.isdigit() else None
