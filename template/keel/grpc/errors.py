"""Errors as gRPC statuses: a canonical code, and machine-readable details (google.rpc.Status, AIP-193)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

import grpc
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
        # A stale etag (AIP-154).
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
"""HTTP status of an `AppError` to code; other 4xx are FAILED_PRECONDITION, other 5xx INTERNAL."""

MAX_LISTED = 20
"""Violations that are reported: details are metadata, which clients limit to 8 KiB, and building a list takes long."""

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
"""Codes that mark a server's span as failed (OpenTelemetry's semantic conventions for gRPC)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of a request that violates a constraint."""

    field: str
    """The path of the field in the request: `note.tags[3]`."""
    description: str
    reason: str


class InvalidRequest(AppError):
    """The request is not valid."""

    status = HTTPStatus(422)
    type = "urn:problem:invalid-request"

    def __init__(self, violations: Iterable[Violation]) -> None:
        super().__init__("The request is not valid; see its field violations.")
        self.violations = tuple(violations)


class UnknownMethod(AppError):
    """The method does not exist."""

    status = HTTPStatus.NOT_IMPLEMENTED
    type = "urn:problem:unknown-method"


def validated(model: type[M], values: Mapping[str, Any], names: Mapping[str, str]) -> M:
    """Validate the values of a request with a schema that HTTP uses too.

    Args:
        model: the schema.
        values: values by field of the schema.
        names: paths in the request by field of the schema, if they differ.

    Raises:
        InvalidRequest: a value is not valid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        if error.error_count() > MAX_LISTED:
            raise InvalidRequest([Violation("", f"{error.error_count()} errors.", "TOO_MANY_ERRORS")]) from None
        # The input is not repeated: it may be secret.
        found = error.errors(include_input=False, include_url=False, include_context=False)
    raise InvalidRequest(Violation(_path(e["loc"], names), e["msg"], e["type"].upper()) for e in found)


def _path(location: Sequence[str | int], names: Mapping[str, str]) -> str:
    first, *rest = location or ("",)
    return names.get(str(first), str(first)) + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest
    )


def code_of(error: Exception) -> StatusCode:
    """Return the code of an error; unexpected ones are INTERNAL."""
    if not isinstance(error, AppError):
        return StatusCode.INTERNAL
    usual = StatusCode.FAILED_PRECONDITION if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else StatusCode.INTERNAL
    return CODES.get(int(error.status), usual)


def status_of(error: Exception, *, service: str, request_id: str) -> grpc.Status:
    """Return the status of an error; an unexpected one reveals only the request id, which is also in its log line."""
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
    message = error.detail if known else "Internal error."
    return rpc_status.to_status(Status(code=code.value[0], message=message, details=map(_packed, details)))


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
