"""A call as an ASGI scope: what core knows of requests, such as who is counted as whom, then holds for calls too."""

from typing import Any
from urllib.parse import unquote

import grpc
from starlette.types import Scope

Context = grpc.aio.ServicerContext[Any, Any]
"""A call, as methods are given it."""

EXEMPT = "/grpc.health.v1.Health/"
"""Probes are not callers."""


def scope_of(method: str, context: Context) -> Scope:
    """Return a scope with the method as its path, the metadata as its headers, and the peer as its client."""
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
    """Read what gRPC calls a peer: `ipv4:192.0.2.1:50000`, `ipv6:%5B2001:db8::1%5D:50000`, `unix:/path`."""
    kind, _, place = unquote(peer).partition(":")
    host, _, port = place.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in {"ipv4", "ipv6"} and port.isdigit() else None
