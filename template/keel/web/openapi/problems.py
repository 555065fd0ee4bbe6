"""Problems in the OpenAPI document: their schema, an example of each type, and the responses that carry them."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import MISSING, BaseModel, Field
from pydantic.json_schema import models_json_schema

MEDIA_TYPE = "application/problem+json"
_BLANK = "about:blank"
_OWN = "urn:problem:"
_COMPONENTS = "#/components"


class FieldProblem(BaseModel):
    """One error in a request."""

    location: list[str | int] = Field(description="`body`, `query`, `path` or `header`, then the path to the field.")
    message: str = Field(description="What is wrong, for human readers.")
    type: str = Field(description="The kind of error, such as `missing`.")


class Problem(BaseModel):
    """What went wrong (RFC 9457). Empty members are omitted; some types have additional ones."""

    type: str = Field(description="The type of problem; `about:blank` means no more than the status.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The status code.")
    detail: str | MISSING = Field(default=MISSING, description="What is wrong with this request, for human readers.")
    request_id: str | MISSING = Field(default=MISSING, description="As in `X-Request-ID` and in the logs.")
    errors: list[FieldProblem] | MISSING = Field(
        default=MISSING, description="Only in `urn:problem:invalid-request`: the first errors."
    )
    error_count: int | MISSING = Field(
        default=MISSING, description="Only in `urn:problem:invalid-request`: how many errors there are."
    )


def title(status: int) -> str:
    """Return the title of a problem: the phrase of its status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def documented(
    status: int, sentence: str, *, kind: str = _BLANK, name: str = "", members: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the documentation of a response that carries one type of problem.

    Args:
        status: the HTTP status.
        sentence: when it is sent.
        kind: the type of the problem.
        name: the name of a problem without a type of its own, such as `not-found`.
        members: additional members of the example.
    """
    value = {"type": kind, "title": title(status), "status": int(status), "detail": sentence, **(members or {})}
    key = re.sub(r"[^\w.-]+", "-", kind.removeprefix(_OWN), flags=re.ASCII) if kind != _BLANK else name
    examples = {key or f"{int(status)}": {"summary": sentence, "value": value}}
    schema = {"$ref": f"{_COMPONENTS}/schemas/{Problem.__name__}"}
    return {"description": sentence, "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}}}


_INVALID = [{"location": ["body", "title"], "message": "Field required", "type": "missing"}]
_RETRY = {"Retry-After": {"description": "How many seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}


def _too_large(size: int, name: str) -> dict[str, Any]:
    return documented(413, f"The body is larger than {size} bytes.", name=name)


def common(size: int) -> dict[str, dict[str, Any]]:
    """Return the problems that any operation may respond with, by status; `size` is the limit of bodies in bytes."""
    return {
        "400": merged(
            documented(400, "The request can't be read.", name="bad-request"),
            documented(400, "The application does not serve this host.", kind="urn:problem:unknown-host"),
        ),
        "413": _too_large(size, "content-too-large"),
        "422": documented(
            422,
            "The request is not valid; `errors` says what to change.",
            kind="urn:problem:invalid-request",
            members={"errors": _INVALID, "error_count": 1},
        ),
        "429": {
            **documented(429, "There were too many requests; wait for `Retry-After`.", name="too-many-requests"),
            "headers": _RETRY,
        },
        "500": documented(500, "The server failed; the logs contain the request's id.", name="internal-error"),
        "503": {
            **documented(503, "A dependency did not answer; try again after `Retry-After`.", name="unavailable"),
            "headers": _RETRY,
        },
    }


def add_problems(document: dict[str, Any], size: int, sizes: Mapping[tuple[str, str], int | None]) -> None:
    """Add the common problems to each operation; move repeated ones to the document's components.

    Args:
        document: FastAPI's document, changed in place.
        size: the limit of bodies, in bytes.
        sizes: the limits of operations that have their own, by path and method.
    """
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, definitions = models_json_schema([(Problem, "serialization")], ref_template=f"{_COMPONENTS}/schemas/{{model}}")
    schemas.update(definitions["$defs"])
    # FastAPI's description of invalid requests does not match what this application sends.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    everywhere = common(size)
    shared = _Shared(everywhere)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            limit = sizes.get((path, method.upper())) if "requestBody" in operation else None
            own = everywhere
            if limit is not None:
                own = {**everywhere, "413": _too_large(limit, f"larger-than-{limit}-bytes")}
            for status, response in own.items():
                responses[status] = merged(response, responses.get(status))
            for status, response in responses.items():
                responses[status] = shared.reference(status, response)
    components["examples"] = dict(sorted(shared.examples.items()))
    components["responses"] = dict(sorted(shared.responses.items()))


def merged(response: dict[str, Any], more: dict[str, Any] | None) -> dict[str, Any]:
    """Return a documented response with the problems of another one; a response without our problems replaces it."""
    if not more or "HTTPValidationError" in str(more):
        return response
    found, extra = _examples(response), _examples(more)
    if not extra:
        return more
    content = {**more["content"], MEDIA_TYPE: {**more["content"][MEDIA_TYPE], "examples": {**found, **extra}}}
    return {**response, **more, "content": content}


def _examples(response: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})


class _Shared:
    """The components that responses refer to."""

    def __init__(self, everywhere: Mapping[str, dict[str, Any]]) -> None:
        self.examples: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}
        self._usual = {status: _examples(response).keys() for status, response in everywhere.items()}
        for status, response in everywhere.items():
            self.reference(status, response)

    def reference(self, status: str, response: dict[str, Any]) -> dict[str, Any]:
        """Return a response that refers to shared examples, or a reference to a shared response.

        Shared are the common responses and those with one type of problem, unless another response has the name.
        """
        examples = _examples(response)
        if not examples:
            return response
        links = {
            name: {"$ref": f"{_COMPONENTS}/examples/{name}"}
            if self.examples.setdefault(name, example) == example
            else example
            for name, example in examples.items()
        }
        content = {**response["content"], MEDIA_TYPE: {**response["content"][MEDIA_TYPE], "examples": links}}
        sentences = [example["summary"] for example in examples.values()]
        if response["description"] not in sentences:  # written by the owner
            return {**response, "content": content}
        response = {**response, "description": _description(examples.values()), "content": content}
        if len(examples) > 1 and examples.keys() != self._usual.get(status):
            return response
        name = "".join(part.capitalize() for part in re.split(r"[-_.]", next(iter(examples))))
        if self.responses.setdefault(name, response) != response:
            return response
        return {"$ref": f"{_COMPONENTS}/responses/{name}"}


def _description(examples: Iterable[Mapping[str, Any]]) -> str:
    """Return when each problem is sent."""
    pairs = [(example["value"]["type"], example["summary"]) for example in examples]
    return "\n\n".join(sentence if kind == _BLANK else f"`{kind}`: {sentence}" for kind, sentence in pairs)
