"""Keyset pagination: a cursor says after which row a page begins, so pages stay right while rows come and go."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import Request
from pydantic import BaseModel, TypeAdapter, ValidationError

from keel.web.errors import BadRequest

T = TypeVar("T")


class InvalidCursor(BadRequest):
    """The cursor was not made by this API, or for another order."""

    type = "urn:problem:invalid-cursor"


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None
    """The cursor of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class Cursor(Generic[T]):
    """The place of the last row seen: its value in the order of the list, then its id to break ties."""

    value: T
    id: UUID

    def encode(self, order: str) -> str:
        """Return the cursor as callers see it."""
        return urlsafe_b64encode(orjson.dumps([order, self.value, str(self.id)])).decode().rstrip("=")


def decode_cursor(text: str, order: str, type_: TypeAdapter[T]) -> Cursor[T]:
    """Read a cursor for a list in the given order, whose values have the given type.

    Raises:
        InvalidCursor: the text is none of ours, or belongs to a list in another order.
    """
    try:
        made_for, value, id_ = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = Cursor(type_.validate_python(value), UUID(id_))
    except (ValueError, TypeError, AttributeError, ValidationError):
        raise InvalidCursor("This cursor was not made by this list; start again without one.") from None
    if made_for != order:
        raise InvalidCursor("This cursor belongs to a list in another order; start again without one.")
    return cursor


def link_header(request: Request, next_cursor: str | None) -> str:
    """Return a `Link` header (RFC 8288) with the first page and the next one, relative to the host."""
    query = urlencode([(key, value) for key, value in request.query_params.multi_items() if key != "cursor"])
    links = [_link(request, query, "first")]
    if next_cursor is not None:
        # Cursors are made of characters that need no escape.
        links.append(_link(request, f"{query}&cursor={next_cursor}" if query else f"cursor={next_cursor}", "next"))
    return ", ".join(links)


def _link(request: Request, query: str, relation: str) -> str:
    target = f"{request.url.path}?{query}" if query else request.url.path
    return f'<{target}>; rel="{relation}"'
