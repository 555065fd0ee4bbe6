"""Limits of request size: in bytes, and in structure, since few bytes may be expensive to parse and answer."""

import re
from collections.abc import Awaitable

from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keel.web.errors import problem, too_large
from keel.web.paths import header

MAX_DEPTH = 64
"""The deepest nesting of arrays and objects."""

MAX_PARAMETERS = 1000
"""Parameters of a query; Starlette's limit for fields of a form."""

_TOO_LARGE = 413
_BRACKET = re.compile(rb"[\[\]{}]")


def fault_of(body: bytes, max_items: int) -> str | None:
    """Return which limit the structure of a JSON text exceeds, if any; this does not validate it."""
    if b"\0" in body:
        return "The body is not JSON in UTF-8."
    if _items(body) <= MAX_DEPTH:
        return None
    # Ignore strings: remove escapes first, then every second part between quotation marks.
    bare = b"".join(body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])
    if _items(bare) > max_items:
        return f"The body has more than {max_items} members and elements."
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return f"The body has more than {MAX_DEPTH} levels of nested arrays and objects."
    return None


def _items(text: bytes) -> int:
    """Return an upper bound of the number of members and elements."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


class StructureLimitMiddleware:
    """Refuses JSON bodies and queries with too much structure, before anything parses them."""

    def __init__(self, app: ASGIApp, max_items: int) -> None:
        self.app = app
        self.max_items = max_items

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request, checking its JSON once it is complete."""
        if scope["type"] not in {"http", "websocket"}:
            return self.app(scope, receive, send)
        if scope["query_string"].count(b"&") >= MAX_PARAMETERS:
            detail = f"The query has more than {MAX_PARAMETERS} parameters."
            return problem(422, detail=detail)(scope, receive, send)
        if scope["type"] != "http" or b"json" not in header(scope, b"content-type").lower():
            return self.app(scope, receive, send)
        chunks: list[bytes] = []

        async def checked_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                chunks.append(message.get("body", b""))
                if not message.get("more_body"):
                    fault = fault_of(b"".join(chunks), self.max_items)
                    chunks.clear()
                    if fault:
                        raise HTTPException(422, fault)
            return message

        return self.app(scope, checked_receive, send)


class BodyLimitMiddleware:
    """Refuses request bodies that are too large, by `Content-Length` or as soon as the limit is exceeded.

    A path operation or a router may set its own limit, `max_body_size`. Starlette counts the bytes, and answers in
    plain text if the body was not read.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = RequestBodyLimitMiddleware(app, max_body_size=limit)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request, counting the bytes of its body."""
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        refused = False

        def send_problem(message: Message) -> Awaitable[None]:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == _TOO_LARGE and _is_text(message):
                refused = True
                return problem(_TOO_LARGE, detail=too_large(scope))(scope, receive, send)
            return _send_nothing() if refused else send(message)

        return self.app(scope, receive, send_problem)


async def _send_nothing() -> None:
    pass


def _is_text(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in message["headers"])
