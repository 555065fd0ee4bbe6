"""The platform's tests call an application that has widgets; yours call yours as it is."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI

from keel.db.models import load_models
from keel.services import services_of
from keel.testing.database import wiping
from keel.testing.server import Server
from keel.testing.support import RunScript, Wipe
from keel.tests.application import create_app
from keel.tests.widgets.models import TestBase, create_tables


@pytest.fixture(scope="session")
async def running_app(environment: None) -> AsyncIterator[FastAPI]:
    """Return the application that runs for all tests."""
    app = create_app()
    async with app.router.lifespan_context(app):
        await create_tables(services_of(app).database)
        yield app


@pytest.fixture(scope="session")
def running_server(running_app: FastAPI) -> Iterator[Server]:
    """Return the server that runs for all tests; a test that stops one starts its own."""
    with Server(create_app()) as server:
        yield server


@pytest.fixture(scope="session")
def wipe(running_app: FastAPI, run_script: RunScript) -> Wipe:
    """Return what empties every table, in one round trip."""
    return wiping(run_script, [*load_models("keel", "app").sorted_tables, *TestBase.metadata.sorted_tables])
