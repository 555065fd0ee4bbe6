"""Errors: each leaves the application as a problem document (RFC 9457) with the id of its request."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from inspect import getdoc
from typing import Any, ClassVar, Self

import orjson
import structlog
from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import Receive, Scope, Send

from keel.web.openapi.problems import MEDIA_TYPE, documented, title
from keel.web.paths import methods_at

MAX_ERRORS = 50
"""Errors listed in one problem document, at most; it also has their number."""

MAX_LOCATION = 100
"""Characters of one part of a location, at most: the name of a field may be as long as the request."""


class AppError(Exception):
    """Base of the errors that services raise; subclasses choose a status and a type."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    type: ClassVar[str] = "about:blank"
    commit_on_error: ClassVar[bool] = False
    """Commit the transaction despite the error, for errors that record something (a failed login)."""

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
    """Bad request: well-formed, but not valid here."""

    status = HTTPStatus.BAD_REQUEST


class Forbidden(AppError):
    """The caller is known but not allowed to do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(AppError):
    """The resource does not exist, or is not visible to this caller."""

    status = HTTPStatus.NOT_FOUND


class Conflict(AppError):
    """The request contradicts what is stored, such as a name that is taken."""

    status = HTTPStatus.CONFLICT


class InUse(Conflict):
    """The resource can't be deleted, since others refer to it."""

    type = "urn:problem:in-use"


class PreconditionFailed(AppError):
    """The resource has changed since the caller last read it."""

    status = HTTPStatus.PRECONDITION_FAILED


class TooManyRequests(AppError):
    """The caller has exceeded a limit; `Retry-After` gives the wait in seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(AppError):
    """Service unavailable: a dependency did not answer."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, *, retry_after: int = 1, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, members=members)


class _Status(int):
    """The status of an error, as a key of `responses=`.

    FastAPI merges the responses of routers and operations by key: one of two errors with the same status would be lost.
    """

    def __new__(cls, error: type[AppError]) -> Self:
        status = super().__new__(cls, error.status)
        status.error = error
        return status

    error: type[AppError]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Status) and self.error is other.error

    def __hash__(self) -> int:
        return hash(self.error)


def responses(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of errors, for a route's `responses=`: their types and docstrings' first paragraphs."""
    return {_Status(error): _documentation(error) for error in errors}


def _documentation(error: type[AppError]) -> dict[str, Any]:
    sentence = " ".join((getdoc(error) or error.status.phrase).partition("\n\n")[0].split())
    if error.status < HTTPStatus.BAD_REQUEST:
        return {"description": sentence}
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", error.__name__).lower()
    return documented(error.status, sentence, kind=error.type, name=name)


ProblemFormat = Callable[[Mapping[str, Any]], Response]
"""Turns the members of a problem document into a response of another format; status and headers are set afterwards."""


class ProblemResponse(Response):
    """A problem document, or what the application's `problem_format` turns it into."""

    media_type = MEDIA_TYPE

    def __init__(self, document: Mapping[str, Any], status: int, headers: Mapping[str, str] | None) -> None:
        super().__init__(orjson.dumps(document), status, headers)
        self.document = document
        self.extra_headers = headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        convert: ProblemFormat | None = getattr(scope.get("app"), "problem_format", None)
        if convert is None:
            await super().__call__(scope, receive, send)
            return
        converted = convert(self.document)
        converted.status_code = self.status_code
        converted.headers.update(self.extra_headers)
        await converted(scope, receive, send)


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
        "title": title(status),
        "status": int(status),
        "detail": detail,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **members,
    }
    return ProblemResponse({key: value for key, value in body.items() if value is not None}, int(status), headers)


def from_app_error(error: AppError) -> Response:
    """Build the response for one of our own errors."""
    if error.status < HTTPStatus.BAD_REQUEST:
        return Response(status_code=error.status, headers=error.headers)
    return problem(error.status, kind=error.type, detail=error.detail, headers=error.headers, **error.members)


async def _on_app_error(_: Request, error: AppError) -> Response:
    return from_app_error(error)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    detail: Any = error.detail if error.detail != title(error.status_code) else None
    if error.status_code == _TOO_LARGE and detail in {None, "Content Too Large"}:
        detail = too_large(request.scope)
    headers = error.headers
    if "Allow" in (headers or {}):  # FastAPI names the methods of one route only
        headers = {**(headers or {}), "Allow": ", ".join(methods_at(request.scope))}
    if detail is None or isinstance(detail, str):
        return problem(error.status_code, detail=detail, headers=headers)
    # FastAPI allows any JSON here, RFC 9457 a string.
    return problem(error.status_code, headers=headers, details=jsonable_encoder(detail))


_TOO_LARGE = 413


def too_large(scope: Scope) -> str:
    """Return the detail of a 413, with the limit of the path operation."""
    return f"The body exceeds the limit of {scope.get(MAX_BODY_SIZE_SCOPE_KEY)} bytes."


def _encodable(part: str | int) -> str | int:
    """Cut long names, and replace lone surrogates, which JSON can smuggle into names and nothing can encode."""
    return part[:MAX_LOCATION].encode(errors="replace").decode() if isinstance(part, str) else part


async def _on_invalid_request(_: Request, error: RequestValidationError | WebSocketRequestValidationError) -> Response:
    # The input is not repeated: it may be secret, and it may not even be encodable.
    found = error.errors()
    errors = [
        {
            "location": [_encodable(part) for part in e["loc"]],
            "message": e["msg"].encode(errors="replace").decode(),
            "type": e["type"],
        }
        for e in found[:MAX_ERRORS]
    ]
    return problem(
        422,
        kind="urn:problem:invalid-request",
        detail="The request is not valid; see `errors`.",
        errors=errors,
        error_count=len(found),
    )


HANDLERS: dict[Any, Any] = {
    AppError: _on_app_error,
    HTTPException: _on_http_exception,
    RequestValidationError: _on_invalid_request,
    WebSocketRequestValidationError: _on_invalid_request,
}
"""Exception handlers by type. Unexpected exceptions are answered by `ErrorMiddleware`."""
