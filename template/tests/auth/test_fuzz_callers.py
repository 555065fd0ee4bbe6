"""The API does what its OpenAPI document says, for strangers and for administrators."""

import pytest
from schemathesis import GenerationMode

from tests.auth.fixtures import Person
from tests.fixtures.server import Server
from tests.fuzzing import fuzz


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_stranger(server: Server, mode: GenerationMode, request: pytest.FixtureRequest, anyio_backend: str) -> None:
    """Who has not signed in is told so, and nothing else."""
    fuzz(request, server.url, {}, mode)


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_administrator(
    server: Server, admin: Person, mode: GenerationMode, request: pytest.FixtureRequest, anyio_backend: str
) -> None:
    """Who may do everything finds nothing that breaks."""
    fuzz(request, server.url, admin.headers, mode)
