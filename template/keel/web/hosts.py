"""Hosts and origins in settings, and the middleware that refuses requests for other hosts."""

import re
from collections.abc import Awaitable
from urllib.parse import SplitResult, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from keel.web.errors import problem
from keel.web.paths import path_below

_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_PORTS = {"http": 80, "https": 443}


def host(value: str) -> str:
    """Return a host's name in lower case, without the scheme, port and final slash or dot that a URL may have.

    Raises:
        ValueError: this is no host name.
    """
    try:
        parts = urlsplit(value if "://" in value else f"//{value}")
        name, _ = _name_and_port(parts)
    except ValueError:
        name = ""
    if value == "*" or _NAME.fullmatch(name):
        return name or value
    raise ValueError(f"{value} is no host name: write api.example.com, *.example.com, [::1] or *; not ASCII: xn--...")


def origin(value: str) -> str:
    """Return an origin as browsers send it: in lower case, without a final slash and the scheme's default port.

    Raises:
        ValueError: browsers send no such origin.
    """
    try:
        parts = urlsplit(value)
        name, port = _name_and_port(parts)
    except ValueError:
        parts, name, port = urlsplit(""), "", None
    if value == "*":
        return value
    if not parts.scheme or not _NAME.fullmatch(name) or "*" in name:
        raise ValueError(f"{value} is no origin: write https://app.example.com, one for each host; not ASCII: xn--...")
    return f"{parts.scheme}://{name}" if port in {None, _PORTS.get(parts.scheme)} else f"{parts.scheme}://{name}:{port}"


def _name_and_port(parts: SplitResult) -> tuple[str, int | None]:
    """Return host name and port; an empty name if the URL has other parts."""
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        return "", None
    name = parts.hostname or ""
    return f"[{name}]" if ":" in name else name.removesuffix("."), parts.port


class HostMiddleware:
    """Refuses requests with an unknown `Host`, or two (RFC 9112, section 3.2); not probes, which use IP addresses."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...], exempt: frozenset[str]) -> None:
        self.app = app
        self.exempt = exempt
        self.names = frozenset(name.lower() for name in allowed)
        self.suffixes = tuple(name[1:].lower() for name in allowed if name.startswith("*."))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request whose `Host` is allowed."""
        if scope["type"] == "lifespan" or path_below(scope) in self.exempt or self._allows(scope):
            return self.app(scope, receive, send)
        refusal = problem(400, kind="urn:problem:unknown-host", detail="Unknown host.")
        return refusal(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            return False
        host = hosts[0].decode("latin-1").lower()
        name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return name in self.names or (bool(self.suffixes) and name.endswith(self.suffixes))
