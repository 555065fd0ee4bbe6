"""The API does what its OpenAPI document says."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from httpx2 import AsyncClient

from keel.application import new_app
from keel.features import FEATURES
from keel.packages import EXAMPLES
from keel.tests.application import create_app
from keel.web.errors import Forbidden, NotFound, responses
from keel.web.openapi.problems import MEDIA_TYPE

IN_EXAMPLES = f"app.{EXAMPLES}."


class Locked(Forbidden):
    """The shelf is locked.

    What else developers should know.
    """

    type = "urn:problem:locked"


class Dusty(Forbidden):
    """The shelf is too dusty."""

    type = "urn:problem:dusty"


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return a node, or the target of its reference."""
    if "$ref" not in node:
        return node
    _, kind, name = node["$ref"].rsplit("/", 2)
    return document["components"][kind][name]


def problems(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the example problems of an operation, by status and name."""
    found = {}
    for status, response in operation["responses"].items():
        content = resolved(document, response).get("content", {})
        if status >= "400" and content:
            assert set(content) == {MEDIA_TYPE}
            examples = content[MEDIA_TYPE]["examples"]
            found[status] = {name: resolved(document, example)["value"] for name, example in examples.items()}
    return found


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return app.openapi()


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    """Errors have the media type in which they are sent, and an example of each type."""
    found = {
        status: found
        for path in document["paths"].values()
        for operation in path.values()
        for status, found in problems(document, operation).items()
    }

    assert found.keys() >= {"400", "404", "413", "422", "429", "500", "503"}
    for status, examples in found.items():
        assert examples
        for value in examples.values():
            assert value["status"] == int(status)
            assert value.keys() >= {"type", "title", "status"}


def test_errors_of_a_router_and_of_its_operations(environment: None) -> None:
    """All errors of a status are documented by their docstrings; an owner's description is kept."""
    app, router = new_app(), APIRouter(prefix="/shelf", responses=responses(Locked))

    @router.post("/book", responses=responses(Dusty, NotFound))
    async def keep(title: Annotated[str, Body()]) -> None:
        """Do nothing."""

    @router.get("/book", responses={403: {"description": "Never."}, 404: {"description": "No such book."}})
    async def read() -> None:
        """Do nothing."""

    app.include_router(router)
    path = app.openapi()["paths"]["/shelf/book"]
    post, get = path["post"]["responses"], path["get"]["responses"]

    assert problems(app.openapi(), path["post"])["403"].keys() == {"locked", "dusty"}
    assert post["403"]["description"] == (
        "`urn:problem:locked`: The shelf is locked.\n\n`urn:problem:dusty`: The shelf is too dusty."
    )
    assert post["404"] == {"$ref": "#/components/responses/NotFound"}
    assert (get["403"]["description"], get["404"]) == ("Never.", {"description": "No such book."})


def test_problems_of_lists_and_of_requests_with_keys(document: dict[str, Any]) -> None:
    """Errors of a cursor or an `Idempotency-Key` are documented without the router declaring them."""
    operations = document["paths"]["/api/v1/widgets"]
    listing, creation = problems(document, operations["get"]), problems(document, operations["post"])

    assert "invalid-cursor" in listing["400"]
    assert creation["400"].keys() >= {"idempotency-key-not-valid", "bad-request"}
    assert creation["422"].keys() == {"invalid-request", "idempotency-key-reused"}


def test_members_of_a_problem(document: dict[str, Any]) -> None:
    """Members that are always present are required; optional ones are never null."""
    problem = document["components"]["schemas"]["Problem"]

    assert problem["required"] == ["type", "title", "status"]
    assert problem["properties"].keys() - problem["required"] == {"detail", "request_id", "errors", "error_count"}
    assert "null" not in str(problem)


def test_parameters_are_never_null(document: dict[str, Any]) -> None:
    """An optional parameter has the type of its values, without null."""
    parameters = [
        parameter
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
    ]

    assert "cursor" in {parameter["name"] for parameter in parameters}
    assert [parameter for parameter in parameters if "null" in str(parameter)] == []


def test_order(environment: None) -> None:
    """The owner's operations come first, then the platform's, then probes; so do their tags."""
    app = create_app()

    @app.get("/later", tags=["later"])
    async def later() -> None:
        """Do nothing."""

    platform = new_app()
    for feature in FEATURES:
        feature.install(platform)

    document = app.openapi()
    paths, tags = [*document["paths"]], [tag["name"] for tag in document["tags"]]

    assert paths[-2:] == ["/healthz", "/readyz"]
    assert {*paths[-len(platform.openapi()["paths"]) :]} == platform.openapi()["paths"].keys()
    assert {"/later", "/api/v1/widgets"} <= {*paths}
    assert (tags[-1], {"later", "widgets"} <= {*tags}) == ("health", True)
    # Examples are there to be copied; what was made of them comes first.
    first_example = min(map(tags.index, _example_tags(app)), default=len(tags))
    assert max(tags.index("later"), tags.index("widgets")) < first_example
    assert [*dict.fromkeys(tags)] == tags
    assert paths.index("/api/v1/widgets") < paths.index("/api/v1/widgets/{widget_id}")


def _example_tags(app: FastAPI) -> set[str]:
    """Return the tags of this project's examples."""
    return {tag for context in _routes_of(app, IN_EXAMPLES) for tag in getattr(context, "tags", ())}


def _routes_of(app: FastAPI, *modules: str) -> list[RouteContext]:
    """Return the routes whose functions are in modules with a prefix."""
    contexts = iter_route_contexts(app.routes)
    return [context for context in contexts if getattr(context.endpoint, "__module__", "").startswith(modules)]


def test_operations_have_summaries(app: FastAPI, document: dict[str, Any]) -> None:
    """Keel's summaries describe the operation, and are not just the function's name."""
    paths = {context.path_format for context in _routes_of(app, "keel.", IN_EXAMPLES)} & document["paths"].keys()

    assert {"/healthz", "/api/v1/widgets"} <= paths
    for path in paths:
        for operation in document["paths"][path].values():
            summary, name = operation["summary"], operation["operationId"].rpartition("-")[2]
            assert summary.lower().replace(" ", "_") != name
            assert len(summary.split()) > 1, name
            assert len(summary) <= 90, name
            assert summary == summary.strip(" .:;`"), name


def test_summaries_of_an_owner(environment: None) -> None:
    """A docstring's first clause is the summary; the rest stays the description. Explicit ones are kept."""
    app = new_app()

    @app.get("/plain")
    async def plain() -> None:
        """List what is `there`."""

    @app.get("/long", tags=["long"])
    async def long() -> None:
        """Read a ship: its name and its flag."""

    @app.get("/given", tags=["given"], summary="Given by hand")
    async def given() -> None:
        """Do nothing."""

    @app.get("/no_words")
    async def no_words() -> None:
        pass

    paths = app.openapi()["paths"]
    found = [
        (paths[path]["get"]["summary"], paths[path]["get"].get("description"))
        for path in ("/plain", "/long", "/given", "/no_words")
    ]

    assert found == [
        ("List what is there", None),
        ("Read a ship", "Read a ship: its name and its flag."),
        ("Given by hand", "Do nothing."),
        ("No words", None),
    ]


def test_every_model_has_a_title(document: dict[str, Any]) -> None:
    """FastAPI's own error model, which is never sent, is absent."""
    for name, schema in document["components"]["schemas"].items():
        assert "HTTPValidationError" not in name
        assert schema["title"]


def test_names_in_generated_clients(document: dict[str, Any]) -> None:
    """Operations are named after tag and function, pages after their items."""
    operation = document["paths"]["/api/v1/widgets"]["get"]

    assert operation["operationId"] == "widgets-list_widgets"
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/WidgetPage"}
    assert document["components"]["schemas"]["WidgetPage"]["properties"]["items"]["type"] == "array"
    assert [name for name in document["components"]["schemas"] if name.endswith("_")] == []


def test_late_routes(environment: None) -> None:
    """Routes added later are in the document, which stays complete."""
    app = new_app()
    before = app.openapi()

    @app.get("/later")
    async def later(number: int) -> None:
        """Do nothing."""

    after = app.openapi()
    assert before["paths"].keys() ^ after["paths"].keys() == {"/later"}
    assert problems(after, after["paths"]["/later"]["get"])["422"].keys() == {"invalid-request"}
    assert before["components"]["schemas"].keys() == after["components"]["schemas"].keys()


def test_body_limits(environment: None) -> None:
    """A 413 states the body limit, even if a path operation or router has its own."""
    app, router = new_app(), APIRouter(prefix="/shelf", max_body_size=20)

    @router.post("/book")
    @app.post("/book")
    @app.post("/scan", max_body_size=30)
    async def keep(title: Annotated[str, Body()]) -> None:
        """Do nothing."""

    app.include_router(router)
    document = app.openapi()
    limits = {
        path: resolved(document, operations["post"]["responses"]["413"])["description"]
        for path, operations in document["paths"].items()
        if "post" in operations
    }
    assert limits == {
        "/book": "The body is larger than 1048576 bytes.",
        "/scan": "The body is larger than 30 bytes.",
        "/shelf/book": "The body is larger than 20 bytes.",
    }


async def test_document_is_served(client: AsyncClient, document: dict[str, Any]) -> None:
    """The served document is the same."""
    assert (await client.get("/openapi.json")).json() == document
