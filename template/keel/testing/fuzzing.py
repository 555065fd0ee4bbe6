"""Generated requests to every operation: no answer may be one that the OpenAPI document does not promise."""

import re
from typing import Any

import pytest

KINDS = ("positive", "negative")
"""Requests that follow the document, and requests that break it."""

EXAMPLES = 25
"""Requests for each operation: what peers get wrong is found within the first few."""

STREAMS = r"/events$"
"""Answers without an end are tested elsewhere; so are cursors, of which only the API itself makes valid ones."""


def fuzz(request: pytest.FixtureRequest, url: str, headers: dict[str, str], kind: str) -> None:
    """Send requests of a kind to every operation of a server.

    A package's `fixtures` may name operations that refuse most of what follows the document, since they want a token
    that was issued or a password that is good: a regular expression named `UNGUESSABLE`.
    """
    # Loaded here, since they take longer than many of the tests that do without them.
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis import Case, GenerationMode
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    mode = GenerationMode(kind)
    subtests: pytest.Subtests = request.getfixturevalue("subtests")
    plugins = request.config.pluginmanager.get_plugins()
    unguessable = [plugin.UNGUESSABLE for plugin in plugins if hasattr(plugin, "UNGUESSABLE")]
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(path_regex=STREAMS)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
            continue
        guessable = not any(re.search(pattern, operation.path) for pattern in unguessable)
        excluded: list[Any] = [] if guessable else [positive_data_acceptance]

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE:
                case.query.pop("cursor", None)
            case.call_and_validate(headers=headers, excluded_checks=excluded)  # noqa: B023 - called at once

        with subtests.test(operation.label):
            send()
