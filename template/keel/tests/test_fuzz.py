"""The API does what its OpenAPI document says, whatever is sent."""

import pytest

from keel.testing.fuzzing import KINDS, fuzz
from keel.testing.identity import sign_in
from keel.testing.server import Server


@pytest.fixture
async def signed_in(server: Server) -> dict[str, str]:
    """Return the headers of an authenticated caller."""
    async with server.client() as client:
        await sign_in(client)
        return {name: value for name, value in client.headers.items() if name.lower() == "authorization"}


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_authenticated(
    server: Server, signed_in: dict[str, str], kind: str, request: pytest.FixtureRequest, anyio_backend: object
) -> None:
    """Requests that follow the document are understood, those that break it are refused as it says."""
    fuzz(request, server.url, signed_in, kind)
