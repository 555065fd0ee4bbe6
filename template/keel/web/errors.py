"""Errors: each leaves the application as a problem document (RFC 9457) with the id of its request."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
SCHEMA = "#/components/schemas/Problem"


class FieldProblem(BaseModel):
    """One thing that is wrong with a request."""

    location: list[str | int] = Field(
        description="Where: `body`, `query`, `path` or `header`, then the way to the field."
    )
    message: str
    type: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(default="about:blank", description="Identifies the kind of problem.")
    title: str
    status: int
    detail: str | None = None
    request_id: str | None = Field(default=None, description="Quote this when you ask for help.")
    errors: list[FieldProblem] | None = Field(default=None, description="Only for invalid requests.")


class AppError(Exception):
    """Base of the errors that services raise; subclasses choose a status and a type."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    type: ClassVar[str] = "about:blank"
    commit_on_error: ClassVar[bool] = False
    """Whether what was stored before the error is kept, because the error is itself what the request led to."""

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the problem to the caller; `members` are extension members of the document (RFC 9457, 3.2)."""
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.members = members or {}


class BadRequest(AppError):
    """The request is well-formed but cannot be meant."""

    status = HTTPStatus.BAD_REQUEST


class Forbidden(AppError):
    """The caller is known, and may not do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(AppError):
    """There is no such thing, or not for this caller."""

    status = HTTPStatus.NOT_FOUND


class Conflict(AppError):
    """The request contradicts what is stored, such as a name that is taken."""

    status = HTTPStatus.CONFLICT


class PreconditionFailed(AppError):
    """The thing has changed since the caller last saw it."""

    status = HTTPStatus.PRECONDITION_FAILED


class TooManyRequests(AppError):
    """The caller has used up a limit; `Retry-After` says when to come back."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(AppError):
    """Something that the answer needs is away for the moment."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, *, retry_after: int = 1, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, members=members)


def responses(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Return what a route can answer with, for its `responses=`."""
    return {
        int(e.status): documented(e.status.phrase)
        if e.status >= HTTPStatus.BAD_REQUEST
        else {"description": e.status.phrase}
        for e in errors
    }


def documented(description: str) -> dict[str, Any]:
    """Return the description of a problem response; `keel.web.openapi` adds the schema that it refers to."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMA}}}}


COMMON: dict[int, dict[str, Any]] = {
    status: documented(description)
    for status, description in {
        400: "The request makes no sense",
        413: "The body is too large",
        422: "The request does not have the right form",
        429: "Too many requests",
        500: "Something went wrong on our side",
        503: "Something that the answer needs is away for the moment",
    }.items()
}
"""What any route can answer with."""


def problem(
    status: int,
    *,
    kind: str = "about:blank",
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Build the response for a problem."""
    body = {
        "type": kind,
        "title": _title(status),
        "status": int(status),
        "detail": detail,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **members,
    }
    content = orjson.dumps({key: value for key, value in body.items() if value is not None})
    return Response(content, int(status), headers, MEDIA_TYPE)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def from_app_error(error: AppError) -> Response:
    """Build the response for one of our own errors."""
    if error.status < HTTPStatus.BAD_REQUEST:
        return Response(status_code=error.status, headers=error.headers)
    return problem(error.status, kind=error.type, detail=error.detail, headers=error.headers, **error.members)


async def _on_app_error(_: Request, error: AppError) -> Response:
    return from_app_error(error)


async def _on_http_exception(_: Request, error: HTTPException) -> Response:
    detail = error.detail if error.detail != _title(error.status_code) else None
    return problem(error.status_code, detail=detail, headers=error.headers)


def _encodable(part: str | int) -> str | int:
    """Replace lone surrogates, which JSON can smuggle into the name of a field and nothing can encode."""
    return part.encode(errors="replace").decode() if isinstance(part, str) else part


async def _on_invalid_request(_: Request, error: RequestValidationError | WebSocketRequestValidationError) -> Response:
    # What was sent is not repeated: it may be secret, and it may not even be encodable.
    errors = [
        {
            "location": [_encodable(part) for part in e["loc"]],
            "message": _encodable(e["msg"]),
            "type": e["type"],
        }
        for e in error.errors()
    ]
    return problem(
        422,
        kind="urn:problem:invalid-request",
        detail="The request does not have the form that this operation needs; see `errors`.",
        errors=errors,
    )


HANDLERS: dict[Any, Any] = {
    AppError: _on_app_error,
    HTTPException: _on_http_exception,
    RequestValidationError: _on_invalid_request,
    WebSocketRequestValidationError: _on_invalid_request,
}
"""Which error is answered how. Errors that nobody foresaw are answered by the request middleware."""
