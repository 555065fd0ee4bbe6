"""Errors as gRPC statuses."""

from http import HTTPStatus
from typing import Any, Self

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from pydantic import BaseModel, model_validator

from keel.grpc.asgi_scope import asgi_scope
from keel.grpc.errors import (
    MAX_LISTED,
    InvalidRequest,
    UnknownMethod,
    Violation,
    code_of,
    status_of,
    validated,
)
from keel.web.errors import AppError, NotFound, TooManyRequests


def error(status: int) -> AppError:
    """Return an error of a status."""
    return type("Some", (AppError,), {"status": HTTPStatus(status)})("Something.")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, StatusCode.INVALID_ARGUMENT),
        (401, StatusCode.UNAUTHENTICATED),
        (403, StatusCode.PERMISSION_DENIED),
        (404, StatusCode.NOT_FOUND),
        (409, StatusCode.ABORTED),
        (410, StatusCode.NOT_FOUND),
        (412, StatusCode.ABORTED),
        (413, StatusCode.RESOURCE_EXHAUSTED),
        (418, StatusCode.FAILED_PRECONDITION),
        (422, StatusCode.INVALID_ARGUMENT),
        (429, StatusCode.RESOURCE_EXHAUSTED),
        (500, StatusCode.INTERNAL),
        (428, StatusCode.FAILED_PRECONDITION),
        (501, StatusCode.UNIMPLEMENTED),
        (503, StatusCode.UNAVAILABLE),
        (504, StatusCode.DEADLINE_EXCEEDED),
        (507, StatusCode.INTERNAL),
    ],
)
def test_codes(status: int, code: StatusCode) -> None:
    """Each HTTP status maps to a code."""
    assert code_of(error(status)) is code


class NoSuchShip(NotFound):
    """An error of a package."""

    type = "urn:problem:no-such-ship"


def details(raised: Exception) -> tuple[status_pb2.Status, dict[str, bytes]]:
    """Return an error's message, and its details by type."""
    told = status_of(raised, service="harbour.v1.Ships", request_id="abc")
    metadata: Any = dict(told.trailing_metadata)
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    return status, {each.type_url.rpartition(".")[2]: each.value for each in status.details}


def test_details_of_a_status() -> None:
    """A status has a machine-readable reason, and the request id."""
    status, found = details(NoSuchShip("There is no such ship."))

    assert (status.code, status.message) == (StatusCode.NOT_FOUND.value[0], "There is no such ship.")
    info = error_details_pb2.ErrorInfo.FromString(found["ErrorInfo"])
    assert (info.reason, info.domain) == ("NO_SUCH_SHIP", "harbour.v1.Ships")
    assert error_details_pb2.RequestInfo.FromString(found["RequestInfo"]).request_id == "abc"
    assert found.keys() == {"ErrorInfo", "RequestInfo"}


def test_retry_delay() -> None:
    """The delay is that of `Retry-After`."""
    _, found = details(TooManyRequests("Later.", headers={"Retry-After": "7"}))

    assert error_details_pb2.RetryInfo.FromString(found["RetryInfo"]).retry_delay.seconds == 7
    _, found = details(TooManyRequests("Later.", headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    assert "RetryInfo" not in found


def test_violations_are_told() -> None:
    """Each has its field, what is wrong, and a reason for programs."""
    status, found = details(InvalidRequest([Violation("ship.name", "It is too short.", "TOO_SHORT")]))

    assert (status.code, status.message) == (
        *(StatusCode.INVALID_ARGUMENT.value[0], "The request is not valid; see its field violations."),
    )
    (told,) = error_details_pb2.BadRequest.FromString(found["BadRequest"]).field_violations
    assert (told.field, told.description, told.reason) == ("ship.name", "It is too short.", "TOO_SHORT")
    assert error_details_pb2.ErrorInfo.FromString(found["ErrorInfo"]).reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("raised", "code", "reason"),
    [
        (error(409), StatusCode.ABORTED, "ABORTED"),
        (UnknownMethod("There is no such method."), StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD"),
        (ValueError("no"), StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_reasons(raised: Exception, code: StatusCode, reason: str) -> None:
    """An error without a type of its own has the name of its code."""
    status, found = details(raised)

    assert status.code == code.value[0]
    assert error_details_pb2.ErrorInfo.FromString(found["ErrorInfo"]).reason == reason


def test_unexpected_error() -> None:
    """The status does not contain the error's text."""
    status, found = details(LookupError("a secret"))

    assert status.message == "Internal error."
    assert error_details_pb2.ErrorInfo.FromString(found["ErrorInfo"]).reason == "INTERNAL"


class Crew(BaseModel):
    """A crew member."""

    name: str
    age: int


class Ship(BaseModel):
    """A schema within another."""

    crew: list[Crew]


def test_paths_of_fields() -> None:
    """Paths name the request's fields, not the schema's; input is not repeated."""
    values = {"crew": [{"name": "a", "age": 1}, {"name": "b", "age": "s3cret"}]}
    with pytest.raises(InvalidRequest) as caught:
        validated(Ship, values, {"crew": "ship.sailors"})

    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("ship.sailors[1].age", "INT_PARSING")
    assert "s3cret" not in str(violation)


def test_paths_of_other_fields() -> None:
    """A field that has no other name in the request keeps its own; an error of the whole has none."""

    class Whole(Ship):
        @model_validator(mode="after")
        def _refuse(self) -> Self:
            raise ValueError("it never sails")

    with pytest.raises(InvalidRequest) as caught:
        validated(Ship, {"crew": 1}, {"captain": "ship.captain"})
    assert [each.field for each in caught.value.violations] == ["crew"]
    with pytest.raises(InvalidRequest) as caught:
        validated(Whole, {"crew": []}, {})
    assert [each.field for each in caught.value.violations] == [""]


class Peer:
    """A call from somewhere."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def peer(self) -> str:
        """Return the peer's address."""
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Return the call's metadata."""
        return (("a", "b"), ("c-bin", b"\xff"))


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:192.0.2.1:50000", ("192.0.2.1", 50000)),
        ("ipv6:%5B2001:db8::1%5D:50000", ("2001:db8::1", 50000)),
        ("unix:/run/grpc.sock", None),
        ("unknown", None),
    ],
)
def test_call_as_asgi_scope(peer: str, client: object) -> None:
    """The scope has the call's peer as client and its metadata as headers."""
    call: object = Peer(peer)
    scope = asgi_scope("/a/B", call)  # ty: ignore[invalid-argument-type]

    assert (scope["path"], scope["client"]) == ("/a/B", client)
    assert scope["headers"] == [(b"a", b"b"), (b"c-bin", b"\xff")]


def test_many_violations() -> None:
    """Further violations are only counted, because details are metadata, which must stay small."""

    class Many(BaseModel):
        numbers: list[int]

    with pytest.raises(InvalidRequest) as refused:
        validated(Many, {"numbers": ["x"] * MAX_LISTED}, {})
    assert len(refused.value.violations) == MAX_LISTED
    with pytest.raises(InvalidRequest) as refused:
        validated(Many, {"numbers": ["x"] * (MAX_LISTED + 1)}, {})

    (violation,) = refused.value.violations
    assert (violation.field, violation.description, violation.reason) == ("", "21 errors.", "TOO_MANY_ERRORS")
