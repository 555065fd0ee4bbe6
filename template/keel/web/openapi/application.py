"""The OpenAPI document: every operation lists its problems, in the media type that is actually sent."""

import re
from collections.abc import Sequence
from copy import deepcopy
from textwrap import shorten
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.utils import generate_unique_id
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from keel.packages import EXAMPLES
from keel.web.errors import ProblemFormat, responses
from keel.web.openapi.problems import add_problems, merged
from keel.web.pagination import CURSOR, InvalidCursor
from keel.web.paths import try_below_prefix

_END = re.compile(r"[.:;](?:\s|$)")
"""Where the first clause of a docstring ends."""

(_INVALID_CURSOR,) = responses(InvalidCursor).values()


def operation_id(route: APIRoute) -> str:
    """Return the id of an operation, from which generators derive a method's name: `notes-create_note`."""
    return f"{route.tags[0]}-{route.name}" if route.tags else generate_unique_id(route)


class Application(FastAPI):
    """FastAPI, with problem documents in its OpenAPI document.

    They are added here rather than as `responses=` of the application, which would make FastAPI build a validator for
    each status of each route whenever the application starts.
    """

    _completed: dict[str, Any] | None = None
    """The latest document, including the additions to FastAPI's."""

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
        self._groups: list[list[BaseRoute]] = []

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Include a router; its routes cost requests for other paths nothing."""
        super().include_router(router, **options)
        try_below_prefix(router)

    def build_middleware_stack(self) -> ASGIApp:
        """Return all middleware, the platform's first, as a method of the outermost.

        For each traced request, FastAPI follows `app` through the whole stack in search of another library's
        middleware, which would be the outermost. A method has no `app` to follow.
        """
        own, self.user_middleware = self.user_middleware, [*self._platform, *self.user_middleware]
        try:
            return super().build_middleware_stack().__call__
        finally:
            self.user_middleware = own

    def setup(self) -> None:
        """Serve the document, with URLs below the path prefix of a proxy."""

        async def document(request: Request) -> JSONResponse:
            return JSONResponse(_below(request.scope.get("root_path", "").rstrip("/"), self.openapi()))

        if self.openapi_url:
            self.add_route(self.openapi_url, document, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """Return the document, built on the first call and again whenever the routes have changed."""
        document = super().openapi()
        if document is not self._completed:
            _simplify(document)
            add_problems(document, self._body_size, self._body_sizes())
            _use_titles(document)
            self._order(document)
            self._completed = document
        return document

    def begin_group(self) -> None:
        """List routes that are added from now on before the existing ones, in the document and its pages."""
        self._groups.append([*self.routes])

    def _order(self, document: dict[str, Any]) -> None:
        """Put the latest group first; within it, examples last, operations of a tag together, and short paths first."""
        age = {id(route): age for age, group in enumerate(reversed(self._groups), 1) for route in group}
        ranks: dict[str | None, tuple[int, bool]] = {}
        for route in self.routes:
            for context in iter_route_contexts([route]):
                rank = age.get(id(route), 0), EXAMPLES in getattr(context.endpoint, "__module__", "").split(".")
                ranks[context.path_format] = min(rank, ranks.get(context.path_format, rank))
        paths = sorted(document["paths"].items(), key=lambda item: ranks.get(item[0], (0, False)))
        tags = [*dict.fromkeys(_tag(path) for _, path in paths)]

        def place(item: tuple[str, dict[str, Any]]) -> tuple[tuple[int, bool], int, bool, int]:
            path, operations = item
            # `/.well-known` paths are for machines, so they come last.
            return ranks.get(path, (0, False)), tags.index(_tag(operations)), path.startswith("/."), path.count("/")

        document["paths"] = dict(sorted(paths, key=place))
        described = {tag["name"]: tag for tag in document.get("tags", ())}
        document["tags"] = [*described.values(), *({"name": tag} for tag in tags if tag and tag not in described)]

    def _body_sizes(self) -> dict[tuple[str, str], int | None]:
        """Return the body limits of path operations in bytes; None if they have none of their own."""
        return {
            (route.path_format or "", method): getattr(route, "max_body_size", None)
            for route in iter_route_contexts(self.routes)
            for method in route.methods or ()
        }


def _tag(path: dict[str, Any]) -> str | None:
    """Return the tag of the first operation of a path."""
    return next((tag for operation in path.values() for tag in operation.get("tags", ())), None)


def _below(root: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with a proxy's prefix in `servers`, and in the URLs of sign-in, which ignore `servers`."""
    if not root:
        return document
    copy = deepcopy(document)
    copy["servers"] = [{"url": root}, *copy.get("servers", [])]
    for scheme in copy["components"].get("securitySchemes", {}).values():
        for flow in scheme.get("flows", {}).values():
            flow |= {name: f"{root}{url}" for name, url in flow.items() if name.endswith("Url") and url.startswith("/")}
    return copy


def _use_titles(document: dict[str, Any]) -> None:
    """Name generic models by their titles: `NotePage` for `Page_Note_`."""
    schemas = document["components"]["schemas"]
    names = {name: schema.get("title") for name, schema in schemas.items() if name.endswith("_")}
    for name, title in names.items():
        if title and title not in schemas and list(names.values()).count(title) == 1:
            schemas[title] = schemas.pop(name)
            _refer(document, f"#/components/schemas/{name}", f"#/components/schemas/{title}")


def _refer(node: Any, old: str, new: str) -> None:
    """Redirect every reference from one schema to another."""
    if isinstance(node, dict):
        if node.get("$ref") == old:
            node["$ref"] = new
        node = [*node.values()]
    for each in node if isinstance(node, list) else ():
        _refer(each, old, new)


def _simplify(document: dict[str, Any]) -> None:
    """Use docstrings as summaries, and remove what generators stumble over or turn into noise."""
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        _summarize(operation)
        for parameter in operation.get("parameters", ()):
            _simplify_parameter(parameter)
            if (parameter["in"], parameter["name"]) == ("query", CURSOR):
                operation["responses"]["400"] = merged(_INVALID_CURSOR, operation["responses"].get("400"))
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                # A keyword of OpenAPI 3.2 in a 3.1 document.
                media.pop("itemSchema", None)
    for schema in document.get("components", {}).get("schemas", {}).values():
        for name, field in schema.get("properties", {}).items():
            _drop_title(name, field)


def _summarize(operation: dict[str, Any]) -> None:
    """Use the first clause of the docstring as the summary instead of the function's name, unless one was given."""
    name, summary = operation["operationId"].rpartition("-")[2], operation.get("summary", "")
    if summary != summary.title() or not name.lower().startswith(summary.lower().replace(" ", "_")):
        return
    description = " ".join(operation.get("description", "").split())
    clause = _END.split(description, maxsplit=1)[0].replace("`", "")
    operation["summary"] = shorten(clause, 100, placeholder="…") or summary.capitalize()
    if description.replace("`", "") == f"{clause}.":
        del operation["description"]  # it only repeats the summary


def _simplify_parameter(parameter: dict[str, Any]) -> None:
    schema = parameter.get("schema", {})
    _drop_title(parameter["name"], schema)
    # FastAPI writes it twice.
    if schema.get("description") == parameter.get("description"):
        schema.pop("description", None)
    # A parameter may be absent, but can't be null.
    if kinds := [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]:
        schema["anyOf"] = kinds
        if len(kinds) == 1:
            schema |= schema.pop("anyOf")[0]


def _drop_title(name: str, schema: dict[str, Any]) -> None:
    """Remove a title that only repeats the name."""
    if schema.get("title", "").replace(" ", "_").lower() == name.replace("-", "_").lower():
        schema.pop("title", None)
