"""Generated requests to every operation: no answer may be one that the OpenAPI document does not promise."""

from typing import Any

import pytest

from tests.fixtures.server import Server
from tests.identity import sign_in

EXAMPLES = 40
"""Requests of each kind for each operation: what peers get wrong is found within the first few."""

STREAMS = r"/events$"
"""Answers without an end are tested elsewhere; so are cursors, of which only the API itself makes valid ones."""


@pytest.fixture
async def headers(server: Server) -> dict[str, str]:
    """Return the headers of somebody who calls."""
    async with server.client() as client:
        await sign_in(client)
        return {name: value for name, value in client.headers.items() if name.lower() == "authorization"}


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_api(server: Server, headers: dict[str, str], kind: str, subtests: pytest.Subtests, anyio_backend: str) -> None:
    """Requests that follow the document are understood, those that break it are refused as it says."""
    # Loaded here, since they take longer than many of the tests that do without them.
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis import Case, GenerationMode
    from schemathesis.core.result import Ok

    mode = GenerationMode(kind)
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path_regex=STREAMS)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
            continue

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def fuzz(case: Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE:
                case.query.pop("cursor", None)
            case.call_and_validate(headers=headers)

        with subtests.test(operation.label):
            fuzz()
