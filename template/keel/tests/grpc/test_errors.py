"""Errors as gRPC statuses."""

from http import HTTPStatus
from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from pydantic import BaseModel

from keel.grpc.asgi_scope import asgi_scope
from keel.grpc.errors import InvalidRequest, code_of, status_of, validated
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
        (503, StatusCode.UNAVAILABLE),
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
        validated(Many, {"numbers": ["x"] * 5000}, {})

    (violation,) = refused.value.violations
    assert (violation.description, violation.reason) == ("5000 errors.", "TOO_MANY_ERRORS")
