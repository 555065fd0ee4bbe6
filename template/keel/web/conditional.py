"""Conditional requests (RFC 9110, section 13): entity tags from versions, `If-Match` and `If-None-Match`."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from keel.text import SafeStr
from keel.web.errors import AppError

Version = int | str
"""A number, or a digest in hexadecimal or base64; not arbitrary text, since quotation marks delimit a tag."""


def etag(version: Version) -> str:
    """Return the strong entity tag of a version."""
    return f'"{version}"'


def matches(header: str | None, version: Version, *, weak: bool = False) -> bool:
    """Whether a conditional header names a version.

    Args:
        header: the value of `If-Match` or `If-None-Match`; None never matches.
        version: the stored version.
        weak: compare weakly, as `If-None-Match` requires: a leading `W/` makes no difference.
    """
    if header is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag(version) in tags


class NotModified(AppError):
    """The caller already has this version."""

    status = HTTPStatus.NOT_MODIFIED


@dataclass(frozen=True, slots=True)
class Precondition:
    """The condition of a change: the entity tag that the caller last saw, if one was sent."""

    if_match: str | None = None

    def holds(self, version: Version) -> bool:
        """Whether this stored version may be changed; if not, raise `PreconditionFailed`."""
        return self.if_match is None or matches(self.if_match, version)


class Conditional:
    """The conditions of a request, and the entity tag of its response."""

    def __init__(self, response: Response, if_match: str | None, if_none_match: str | None) -> None:
        self.precondition = Precondition(if_match)
        self._if_none_match = if_none_match
        self._response = response

    def tag(self, version: Version) -> Mapping[str, str]:
        """Set the `ETag` header of the response; return the headers, for path operations that build their response.

        FastAPI sets them only on the responses that it creates.

        Raises:
            NotModified: the caller already has the version.
        """
        headers = {"ETag": etag(version), "Cache-Control": "private, no-cache"}
        if matches(self._if_none_match, version, weak=True):
            raise NotModified("You already have this version.", headers=headers)
        self._response.headers.update(headers)
        return headers


async def get_conditional(
    request: Request,
    response: Response,
    if_match: Annotated[
        SafeStr | None, Header(description="Change it only if it still has this entity tag; otherwise respond with 412")
    ] = None,
    if_none_match: Annotated[
        SafeStr | None, Header(description="Read it only if it has another entity tag; otherwise respond with 304")
    ] = None,
) -> Conditional:
    """Return the conditions of a request."""
    # The class itself is no dependency: FastAPI runs anything but a coroutine function in a thread.
    return Conditional(response, if_match, if_none_match if request.method == "GET" else None)


ConditionalDep = Annotated[Conditional, Depends(get_conditional)]
