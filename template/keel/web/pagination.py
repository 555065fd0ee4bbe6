"""Keyset pagination: a cursor names the row after which a page begins, so inserted and deleted rows shift no page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from keel.text import SafeStr
from keel.web.errors import BadRequest

T = TypeVar("T")

CURSOR = "cursor"
"""The query parameter of lists."""


class InvalidCursor(BadRequest):
    """The cursor is not from this API, or belongs to another order."""

    type = "urn:problem:invalid-cursor"


class PageQuery(BaseModel, frozen=True, extra="forbid"):
    """Query parameters of a list; subclasses add filters and orders. Unknown parameters are refused."""

    sort: str
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=4000)] | None = Field(
        default=None, description="`next` of the previous page, with the same filters and order"
    )


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None
    """The cursor of the next page; null on the last one."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return the name in the OpenAPI document and in generated clients: `NotePage`."""
        return f"{''.join(getattr(each, '__name__', 'Any') for each in params)}Page"


class Links:
    """The `Link` header of a list (RFC 8288)."""

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    def add(self, page: Page[T]) -> Page[T]:
        """Add links to the first page and the next one; return the page."""
        self._response.headers["Link"] = link_header(self._request, page.next)
        self._response.headers["Cache-Control"] = "private, no-cache"
        return page


async def get_links(request: Request, response: Response) -> Links:
    """Return the links of a list."""
    # The class itself is no dependency: FastAPI runs anything but a coroutine function in a thread.
    return Links(request, response)


LinksDep = Annotated[Links, Depends(get_links)]


@dataclass(frozen=True, slots=True)
class Cursor(Generic[T]):
    """The position of the last row seen: its value in the order of the list, then its id to break ties."""

    value: T
    id: UUID

    def encode(self, order: str) -> str:
        """Return the cursor as callers see it."""
        return encode(order, (self.value, self.id))


def decode_cursor(text: str, order: str, type_: TypeAdapter[T]) -> Cursor[T]:
    """Read a cursor for a list in the given order, whose values have the given type.

    Raises:
        InvalidCursor: the text is none of ours, or belongs to a list in another order.
    """
    return Cursor(*decode(text, order, (type_, _UUID)))


_UUID: TypeAdapter[UUID] = TypeAdapter(UUID)


def encode(order: str, values: Sequence[Any]) -> str:
    """Return a cursor for a list in an order; values may be of any type that pydantic can write as JSON."""
    # JSON cannot represent infinite numbers, and orjson neither durations nor decimals.
    written = [str(value) if isinstance(value, float) and not isfinite(value) else value for value in values]
    return urlsafe_b64encode(orjson.dumps([order, *written], default=to_jsonable_python)).decode().rstrip("=")


def decode(text: str, order: str, types: Sequence[TypeAdapter[Any]]) -> list[Any]:
    """Return the values of a cursor, one for each type.

    Raises:
        InvalidCursor: the text is none of ours, or belongs to a list in another order.
    """
    try:
        made_for, *values = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        decoded = [type_.validate_python(value) for type_, value in zip(types, values, strict=True)]
    except (ValueError, TypeError, AttributeError, ValidationError):
        raise InvalidCursor("This cursor is not from this list; start again without one.") from None
    if made_for != order:
        raise InvalidCursor("This cursor belongs to a list in another order; start again without one.")
    return decoded


def link_header(request: Request, next_cursor: str | None) -> str:
    """Return a `Link` header (RFC 8288) with the first page and the next one, relative to the host."""
    query = urlencode([(key, value) for key, value in request.query_params.multi_items() if key != CURSOR])
    links = [_link(request, query, "first")]
    if next_cursor is not None:
        # Cursors consist of characters that need no escaping.
        links.append(_link(request, f"{query}&cursor={next_cursor}" if query else f"cursor={next_cursor}", "next"))
    return ", ".join(links)


def _link(request: Request, query: str, relation: str) -> str:
    target = f"{request.url.path}?{query}" if query else request.url.path
    return f'<{target}>; rel="{relation}"'
