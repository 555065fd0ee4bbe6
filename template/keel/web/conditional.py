"""Conditional requests (RFC 9110, section 13): entity tags from versions, `If-Match` and `If-None-Match`."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from keel.text import SafeStr
from keel.web.errors import AppError

Version = int | str
"""A number, or a digest in hexadecimal or base64; not text of any kind, since a tag is delimited by quotation marks."""


def etag(version: Version) -> str:
    """Return the strong entity tag of a version."""
    return f'"{version}"'


def matches(header: str | None, version: Version, *, weak: bool = False) -> bool:
    """Whether a conditional header names a version.

    Args:
        header: the value of `If-Match` or `If-None-Match`; None never matches.
        version: what is stored.
        weak: compare weakly, as `If-None-Match` wants it: a `W/` in front makes no difference.
    """
    if header is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag(version) in tags


class NotModified(AppError):
    """The caller has this version already."""

    status = HTTPStatus.NOT_MODIFIED


@dataclass(frozen=True, slots=True)
class Precondition:
    """The condition of a change: the entity tag that the caller last saw, if they sent any."""

    if_match: str | None = None

    def holds(self, version: Version) -> bool:
        """Whether the change may be made to what is stored as this version; if not, raise `PreconditionFailed`."""
        return self.if_match is None or matches(self.if_match, version)


class Conditional:
    """The conditions of a request, and the entity tag of its response."""

    def __init__(self, response: Response, if_match: str | None, if_none_match: str | None) -> None:
        self.precondition = Precondition(if_match)
        self._if_none_match = if_none_match
        self._response = response

    def tag(self, version: Version) -> Mapping[str, str]:
        """Set the `ETag` header of the response; return the headers, for a `Response` that the path operation makes itself.

        FastAPI sets them on no other than its own.

        Raises:
            NotModified: the caller reads a version that they have already.
        """
        headers = {"ETag": etag(version), "Cache-Control": "private, no-cache"}
        if matches(self._if_none_match, version, weak=True):
            raise NotModified("You have this version already.", headers=headers)
        self._response.headers.update(headers)
        return headers


async def get_conditional(
    request: Request,
    response: Response,
    if_match: Annotated[
        SafeStr | None, Header(description="Change only what still has this entity tag; else the answer is 412")
    ] = None,
    if_none_match: Annotated[
        SafeStr | None, Header(description="Read only what has another entity tag; else the answer is 304")
    ] = None,
) -> Conditional:
    """Return the conditions of a request."""
    # Not the class itself as a dependency: what is no coroutine function runs in a thread.
    return Conditional(response, if_match, if_none_match if request.method == "GET" else None)


ConditionalDep = Annotated[Conditional, Depends(get_conditional)]
