"""The API does what its OpenAPI document says, whatever is sent."""

import pytest
from httpx2 import AsyncClient
from schemathesis import GenerationMode

from tests.fixtures.server import Server
from tests.fuzzing import fuzz
from tests.identity import sign_in


@pytest.fixture
async def signed_in(server: Server) -> dict[str, str]:
    """Return the headers of somebody who calls."""
    async with AsyncClient(base_url=server.url) as client:
        await sign_in(client)
        return {name: value for name, value in client.headers.items() if name.lower() == "authorization"}


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_somebody(
    server: Server, signed_in: dict[str, str], mode: GenerationMode, request: pytest.FixtureRequest, anyio_backend: str
) -> None:
    """Requests that follow the document are understood, those that break it are refused as it says."""
    fuzz(request, server.url, signed_in, mode)
