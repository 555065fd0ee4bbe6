"""The API does what its OpenAPI document says."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI
from httpx2 import AsyncClient

from keel.application import new_app
from keel.web.errors import MEDIA_TYPE


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return app.openapi()


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    """Errors are described with the media type in which they are sent."""
    responses = [
        (status, response)
        for path in document["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
        if status >= "400"
    ]

    assert {status for status, _ in responses} >= {"404", "422", "429", "500", "503"}
    assert all(set(response["content"]) == {MEDIA_TYPE} for _, response in responses)


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    """The documentation has a sentence for each operation and each model."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
    for name, schema in document["components"]["schemas"].items():
        assert "HTTPValidationError" not in name
        assert schema["title"]


def test_names_that_generated_clients_have(document: dict[str, Any]) -> None:
    """Operations are called by tag and function, pages by what is on them."""
    operation = document["paths"]["/api/v1/widgets"]["get"]

    assert operation["operationId"] == "widgets-list_widgets"
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/WidgetPage"}
    assert document["components"]["schemas"]["WidgetPage"]["properties"]["items"]["type"] == "array"
    assert [name for name in document["components"]["schemas"] if name.endswith("_")] == []


def test_routes_that_come_later(environment: None) -> None:
    """They are in the document, which is as complete as it was."""
    app = new_app()
    before = app.openapi()

    @app.get("/later")
    async def later(number: int) -> None:
        """Do nothing."""

    after = app.openapi()
    assert before["paths"].keys() ^ after["paths"].keys() == {"/later"}
    assert set(after["paths"]["/later"]["get"]["responses"]["422"]["content"]) == {MEDIA_TYPE}
    assert before["components"]["schemas"].keys() == after["components"]["schemas"].keys()


def test_body_limits(environment: None) -> None:
    """A 413 says how long a body may be, also where a path operation or a router has a limit of its own."""
    app, router = new_app(), APIRouter(prefix="/shelf", max_body_size=20)

    @router.post("/book")
    @app.post("/book")
    @app.post("/scan", max_body_size=30)
    async def keep(title: Annotated[str, Body()]) -> None:
        """Do nothing."""

    app.include_router(router)
    limits = {
        path: operations["post"]["responses"]["413"]["description"]
        for path, operations in app.openapi()["paths"].items()
        if "post" in operations
    }
    assert limits == {
        "/book": "The body is larger than 1048576 bytes",
        "/scan": "The body is larger than 30 bytes",
        "/shelf/book": "The body is larger than 20 bytes",
    }


async def test_document_is_served(client: AsyncClient, document: dict[str, Any]) -> None:
    """It is what tools get."""
    assert (await client.get("/openapi.json")).json() == document
