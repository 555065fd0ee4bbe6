"""The OpenAPI document: errors have the media type that they are really sent with."""

from typing import Any

from fastapi import FastAPI

from app.core.errors import MEDIA_TYPE


class Application(FastAPI):
    """FastAPI, with problem documents in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, made on the first call."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path in document["paths"].values():
                for operation in path.values():
                    _name_media_type(operation["responses"])
        return super().openapi()


def _name_media_type(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and "application/json" in content:
            content[MEDIA_TYPE] = content.pop("application/json")
