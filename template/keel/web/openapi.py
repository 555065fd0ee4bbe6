"""The OpenAPI document: every operation may answer with a problem, in the media type that is really sent."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.utils import generate_unique_id
from pydantic.json_schema import models_json_schema
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from keel.web.errors import COMMON, Problem, ProblemFormat, documented
from keel.web.paths import try_below_prefix


def operation_id(route: APIRoute) -> str:
    """Return the id of an operation, of which generators make the name of a method: `notes-create_note`."""
    return f"{route.tags[0]}-{route.name}" if route.tags else generate_unique_id(route)


class Application(FastAPI):
    """FastAPI, with problem documents in its OpenAPI document.

    They are added here rather than as `responses=` of the application, which would make FastAPI build a validator for
    each status of each route whenever the application starts.
    """

    _completed: dict[str, Any] | None = None
    """The document that problems were added to."""

    def __init__(
        self,
        *,
        body_size: int,
        platform: Sequence[Middleware] = (),
        problem_format: ProblemFormat | None = None,
        **options: Any,
    ) -> None:
        """Take FastAPI's options, the limit of bodies, outermost middleware, and how problems are written."""
        super().__init__(generate_unique_id_function=operation_id, **options)
        self._body_size = body_size
        self._platform = list(platform)
        self.problem_format = problem_format

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Include a router; its routes cost nothing to requests for other paths."""
        super().include_router(router, **options)
        try_below_prefix(router)

    def build_middleware_stack(self) -> ASGIApp:
        """Return all middleware, the platform's first, as a method of the outermost.

        For each request that is observed FastAPI follows `app` through the whole stack, looking for the middleware of
        another library, which would be the outermost. A method leads it nowhere.
        """
        own, self.user_middleware = self.user_middleware, [*self._platform, *self.user_middleware]
        try:
            return super().build_middleware_stack().__call__
        finally:
            self.user_middleware = own

    def setup(self) -> None:
        """Serve the document, with addresses below the path at which a proxy serves the application."""

        async def document(request: Request) -> JSONResponse:
            return JSONResponse(_below(request.scope.get("root_path", "").rstrip("/"), self.openapi()))

        if self.openapi_url:
            self.add_route(self.openapi_url, document, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """Return the document, made on the first call, and anew when routes have come or gone since."""
        document = super().openapi()
        if document is not self._completed:
            _, problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problem["$defs"])
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            _use_titles(document)
            sizes = self._body_sizes()
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    responses = operation["responses"]
                    _add_problems(responses)
                    if "requestBody" in operation and responses["413"] is COMMON[413]:
                        size = sizes.get((path, method.upper())) or self._body_size
                        responses["413"] = documented(f"The body is larger than {size} bytes")
            self._completed = document
        return document

    def _body_sizes(self) -> dict[tuple[str | None, str], int | None]:
        """Return how long the bodies of path operations may be, where they have limits of their own."""
        routes = [*iter_route_contexts(self.routes)]
        return {
            (r.path_format, method): getattr(r, "max_body_size", None) for r in routes for method in r.methods or ()
        }


def _below(root: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the path of a proxy in `servers`, and in URLs of sign-in, which do not follow these."""
    if not root:
        return document
    copy = deepcopy(document)
    copy["servers"] = [{"url": root}, *copy.get("servers", [])]
    for scheme in copy["components"].get("securitySchemes", {}).values():
        for flow in scheme.get("flows", {}).values():
            flow |= {name: f"{root}{url}" for name, url in flow.items() if name.endswith("Url") and url.startswith("/")}
    return copy


def _use_titles(document: dict[str, Any]) -> None:
    """Call generic models by their titles: `NotePage` for `Page_Note_`."""
    schemas = document["components"]["schemas"]
    names = {name: schema.get("title") for name, schema in schemas.items() if name.endswith("_")}
    for name, title in names.items():
        if title and title not in schemas and list(names.values()).count(title) == 1:
            schemas[title] = schemas.pop(name)
            _refer(document, f"#/components/schemas/{name}", f"#/components/schemas/{title}")


def _refer(node: Any, old: str, new: str) -> None:
    """Let every reference to one schema lead to another."""
    if isinstance(node, dict):
        if node.get("$ref") == old:
            node["$ref"] = new
        node = [*node.values()]
    for each in node if isinstance(node, list) else ():
        _refer(each, old, new)


def _add_problems(responses: dict[str, Any]) -> None:
    for status, response in COMMON.items():
        # FastAPI's own description of invalid requests is not what this application sends.
        if status == 422 or str(status) not in responses:  # noqa: PLR2004 - renamed in Python 3.13
            responses[str(status)] = response
