"""Forms and uploads, as FastAPI's pages teach them, do what the OpenAPI document says."""

from decimal import Decimal
from typing import Annotated

import pytest
from fastapi import File, Form, UploadFile

from keel.application import new_app
from keel.testing.fuzzing import KINDS, fuzz
from keel.testing.server import Server


async def upload(file: UploadFile) -> int:
    """Return the size of a file."""
    return len(await file.read())


async def upload_bytes(file: Annotated[bytes, File()]) -> int:
    """Return the size of a file."""
    return len(file)


async def upload_many(files: list[UploadFile], token: Annotated[str, Form()]) -> str:
    """Return the form's values."""
    return f"{len(files)} {token}"


async def pay(name: Annotated[str, Form()], amount: Annotated[Decimal, Form()]) -> str:
    """Return the form's values."""
    return f"{name} {amount}"


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_forms(environment: None, kind: str, request: pytest.FixtureRequest) -> None:
    """Values that a form cannot express, such as empty lists, are not reported as failures."""
    app = new_app()
    for endpoint in (upload, upload_bytes, upload_many, pay):
        app.post(f"/{endpoint.__name__}")(endpoint)
    with Server(app) as server:
        fuzz(request, server.url, {}, kind)
