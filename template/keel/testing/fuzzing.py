"""Generated requests to every operation: every response must be documented in the OpenAPI document."""

import re
import warnings
from typing import Any

import pytest
from pydantic_core import to_jsonable_python

from keel.testing.support import PATIENCE
from keel.web.openapi.problems import MEDIA_TYPE

KINDS = ("positive", "negative")
"""Requests that conform to the document, and requests that violate it."""

EXAMPLES = 25
"""Requests per operation: most faults are found within the first few."""

INEXPRESSIBLE = ("decimal_", "value_error", "assertion_error")
"""Prefixes of error types that a JSON schema cannot express: digits of decimals, and custom validators."""

SCHEMATIC = {"urn:problem:invalid-request", "about:blank"}
"""Problems that a schema can rule out. Any other 422 is a rule of the operation, which its document must name."""

DURATION = "pydantic-duration"

STREAMS = {"text/event-stream", "application/jsonl"}
"""Responses of these types may never end, and are tested elsewhere; so are cursors, which only the API can create, and
idempotency keys, which are valid for one request each."""


def fuzz(request: pytest.FixtureRequest, url: str, headers: dict[str, str], kind: str) -> None:
    """Send requests of a kind to every operation of a server.

    A package's `fixtures` may name operations that refuse most conforming requests, since they need an issued token or
    a good password: a regular expression named `UNGUESSABLE`.
    """
    # Imported late: loading them takes longer than many tests that do not need them.
    import schemathesis
    from httpx2 import get
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable
    from hypothesis.strategies import timedeltas
    from schemathesis import Case, GenerationMode
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    schemathesis.openapi.format(DURATION, timedeltas().map(to_jsonable_python))

    mode = GenerationMode(kind)
    subtests: pytest.Subtests = request.getfixturevalue("subtests")
    plugins = request.config.pluginmanager.get_plugins()
    unguessable = [plugin.UNGUESSABLE for plugin in plugins if hasattr(plugin, "UNGUESSABLE")]
    document = _as_pydantic_means_it(get(f"{url}/openapi.json", timeout=PATIENCE).json())
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if is_stream(document["paths"][operation.path][operation.method]):
            continue
        if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
            continue
        guessable = not any(re.search(pattern, operation.path) for pattern in unguessable)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE:
                case.query.pop("cursor", None)
                case.headers.pop("Idempotency-Key", None)
            response = case.call(base_url=url, headers=headers)
            excluded: list[Any] = [negative_data_rejection] if _is_converted(case) else []
            if not guessable or _is_inexpressible(case, response):  # noqa: B023 - called at once
                excluded.append(positive_data_acceptance)
            case.validate_response(response, excluded_checks=excluded)
            _check_type(document, case, response)

        with subtests.test(operation.label), warnings.catch_warnings():
            # Schemathesis does this with the parts of a form.
            warnings.filterwarnings("ignore", "Do not use the `random` module inside strategies")
            try:
                send()
            except Unsatisfiable:
                # No request can violate the document if every value is valid, such as for an optional header.
                if mode is GenerationMode.POSITIVE:
                    raise


def is_stream(operation: dict[str, Any]) -> bool:
    """Whether an operation's response may never end, by its documentation."""
    return bool(STREAMS & {*operation["responses"].get("200", {}).get("content", {})})


def _check_type(document: dict[str, Any], case: Any, response: Any) -> None:
    """Check that a problem's type is documented by the operation for its status, if it documents any."""
    documented = document["paths"][case.operation.path][case.operation.method]["responses"]
    answer = _resolved(document, documented.get(str(response.status_code), {}))
    examples = answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values()
    kinds = {_resolved(document, example)["value"]["type"] for example in examples}
    if kinds and response.headers.get("content-type") == [MEDIA_TYPE]:
        assert response.json()["type"] in {*kinds, "about:blank"}, f"{case.operation.label}: {response.json()}"


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    _, kind, name = node["$ref"].rsplit("/", 2)
    return document["components"][kind][name]


def _as_pydantic_means_it(schema: Any) -> Any:
    """Return a schema without the string form of decimals, and with a format of its own for durations.

    The pattern of decimals is unbounded, and schemathesis cannot use it. Pydantic writes durations of more than a year
    as `P1Y2D`: ISO 8601, but not the format `duration`, which is that of RFC 3339.
    """
    if isinstance(schema, list):
        return [_as_pydantic_means_it(each) for each in schema if not _is_decimal(each)]
    if isinstance(schema, dict):
        own = {"format": DURATION} if schema.get("format") == "duration" else {}
        return {name: _as_pydantic_means_it(each) for name, each in schema.items()} | own
    return schema


def _is_decimal(schema: Any) -> bool:
    return isinstance(schema, dict) and str(schema.get("pattern", "")).startswith(r"^(?!^[-+.]*$)[+-]?0*")


def _is_inexpressible(case: Any, response: Any) -> bool:
    """Whether a request is refused for reasons that a schema can't express, such as an empty list in a form."""
    if response.status_code != 422:
        return False
    lost = ("missing",) if "json" not in (case.media_type or "json") else ()
    problem = response.json()
    if problem.get("type", "about:blank") not in SCHEMATIC:
        return True
    errors = problem.get("errors") or [{"type": ""}]
    return all(error["type"].startswith((*INEXPRESSIBLE, *lost)) for error in errors)


def _is_converted(case: Any) -> bool:
    """Whether a request violates the document only by types that pydantic converts, such as true to 1.0."""
    mutations = case.meta.phase.data.mutations if case.meta else ()
    return bool(mutations) and all(mutation.keywords == ("type",) for mutation in mutations)
