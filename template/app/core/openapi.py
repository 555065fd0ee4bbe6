"""The OpenAPI document: every operation may answer with a problem, in the media type that is really sent."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from app.core.errors import COMMON, Problem


class Application(FastAPI):
    """FastAPI, with problem documents in its OpenAPI document.

    They are added here rather than as `responses=` of the application, which would make FastAPI build a validator for
    each status of each route whenever the application starts.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the document, made on the first call."""
        if self.openapi_schema is None:
            document = super().openapi()
            _, problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problem["$defs"])
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in document["paths"].values():
                for operation in path.values():
                    _add_problems(operation["responses"])
        return super().openapi()


def _add_problems(responses: dict[str, Any]) -> None:
    for status, response in COMMON.items():
        # FastAPI's own description of invalid requests is not what this application sends.
        if status == 422 or str(status) not in responses:  # noqa: PLR2004
            responses[str(status)] = response
