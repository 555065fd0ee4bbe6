"""The API does what its OpenAPI document says, for anonymous callers, for users and for administrators."""

import pytest

from keel.testing.fuzzing import KINDS, fuzz
from keel.testing.server import Server
from keel.tests.auth.fixtures import Person


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_stranger(server: Server, kind: str, request: pytest.FixtureRequest, anyio_backend: object) -> None:
    """Anonymous callers are refused as documented."""
    fuzz(request, server.url, {}, kind)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_user(server: Server, ada: Person, kind: str, request: pytest.FixtureRequest, anyio_backend: object) -> None:
    """No operation fails for a user, who may change their own logins and tokens."""
    fuzz(request, server.url, ada.headers, kind)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_administrator(
    server: Server, admin: Person, kind: str, request: pytest.FixtureRequest, anyio_backend: object
) -> None:
    """No operation fails for an administrator."""
    fuzz(request, server.url, admin.headers, kind)
