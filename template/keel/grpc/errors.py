"""Errors as gRPC tells them: a canonical code, and details that programs can read (google.rpc.Status, AIP-193)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_status import rpc_status
from pydantic import BaseModel, ValidationError

from keel.web.errors import AppError

M = TypeVar("M", bound=BaseModel)

CODES: Mapping[int, StatusCode] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: StatusCode.INVALID_ARGUMENT,
        HTTPStatus.UNAUTHORIZED: StatusCode.UNAUTHENTICATED,
        HTTPStatus.FORBIDDEN: StatusCode.PERMISSION_DENIED,
        HTTPStatus.NOT_FOUND: StatusCode.NOT_FOUND,
        HTTPStatus.CONFLICT: StatusCode.ABORTED,
        HTTPStatus.GONE: StatusCode.NOT_FOUND,
        # An etag that stands for an earlier state (AIP-154).
        HTTPStatus.PRECONDITION_FAILED: StatusCode.ABORTED,
        # 413 and 422 by their numbers: Python 3.13 has renamed them.
        413: StatusCode.RESOURCE_EXHAUSTED,
        422: StatusCode.INVALID_ARGUMENT,
        HTTPStatus.PRECONDITION_REQUIRED: StatusCode.FAILED_PRECONDITION,
        HTTPStatus.TOO_MANY_REQUESTS: StatusCode.RESOURCE_EXHAUSTED,
        HTTPStatus.NOT_IMPLEMENTED: StatusCode.UNIMPLEMENTED,
        HTTPStatus.SERVICE_UNAVAILABLE: StatusCode.UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
    }
)
"""What the statuses of `AppError` are called here; others of 4xx are FAILED_PRECONDITION, of 5xx INTERNAL."""

SERVER_FAULTS = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)
"""Codes with which a server's span has failed (OpenTelemetry's semantic conventions for gRPC)."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a request."""

    field: str
    """The way to it from the request: `note.tags[3]`."""
    description: str
    reason: str


class InvalidRequest(AppError):
    """The request does not have the form that the method needs."""

    status = HTTPStatus(422)
    type = "urn:problem:invalid-request"

    def __init__(self, violations: Iterable[Violation]) -> None:
        super().__init__("The request does not have the form that this method needs; see its field violations.")
        self.violations = tuple(violations)


class UnknownMethod(AppError):
    """There is no such method here."""

    status = HTTPStatus.NOT_IMPLEMENTED
    type = "urn:problem:unknown-method"


def validated(model: type[M], values: Mapping[str, Any], names: Mapping[str, str]) -> M:
    """Return the values of a request as one of the schemas that HTTP uses too.

    Args:
        model: the schema.
        values: what the request says, by the schema's fields.
        names: where fields of the schema stand in the request; those that are not named are called the same there.

    Raises:
        InvalidRequest: the schema does not allow the values.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # What was sent is not repeated: it may be secret.
        found = error.errors(include_input=False, include_url=False, include_context=False)
    raise InvalidRequest(Violation(_path(e["loc"], names), e["msg"], e["type"].upper()) for e in found)


def _path(location: Sequence[str | int], names: Mapping[str, str]) -> str:
    first, *rest = location or ("",)
    return names.get(str(first), str(first)) + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest
    )


def code_of(error: Exception) -> StatusCode:
    """Return the code that tells an error. Errors that nobody foresaw are INTERNAL."""
    if not isinstance(error, AppError):
        return StatusCode.INTERNAL
    usual = StatusCode.FAILED_PRECONDITION if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else StatusCode.INTERNAL
    return CODES.get(int(error.status), usual)


def status_of(error: Exception, *, service: str, request_id: str) -> grpc.Status:
    """Return what to tell the caller: of an error that nobody foresaw, nothing but the id by which its log line is found."""
    code = code_of(error)
    known = isinstance(error, AppError)
    kind = error.type.removeprefix("urn:problem:") if known and error.type != "about:blank" else code.name
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=kind.upper().replace("-", "_"), domain=service),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if isinstance(error, InvalidRequest):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description, reason=v.reason)
            for v in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if known and (seconds := error.headers.get("Retry-After", "")).isdigit():
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=int(seconds))))
    message = error.detail if known else "Something went wrong on our side."
    return rpc_status.to_status(Status(code=code.value[0], message=message, details=map(_packed, details)))


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
