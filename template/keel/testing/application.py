"""The application, running but not serving, and clients that call it in-process.

One application runs for all tests, since building one takes longer than most tests. Each test gets an empty database,
and must leave no connection in use.
"""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.main import create_app
from keel.db.database import Database
from keel.services import services_of
from keel.testing.identity import add_account, sign_in
from keel.testing.support import Outbox, Wipe, calling, connections_in_use, eventually


@pytest.fixture(scope="session")
async def running_app(environment: None) -> AsyncIterator[FastAPI]:
    """Return the application that runs for all tests."""
    app = create_app()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def app(running_app: FastAPI, wipe: Wipe, outbox: Outbox) -> AsyncIterator[FastAPI]:
    """Return the running application; reset it after the test."""
    yield running_app
    await services_of(running_app).jobs.drain()
    running_app.dependency_overrides.clear()
    await wipe()
    # A package's periodic work may briefly use one.
    await eventually(lambda: connections_in_use(services_of(running_app).database) == 0)


@pytest.fixture(autouse=True)
async def emptied(request: pytest.FixtureRequest, wipe: Wipe) -> AsyncIterator[None]:
    """Empty the database after a test that calls its own or an imported application."""
    yield
    if "app" not in request.fixturenames:
        await wipe()


@pytest.fixture
def anonymous(app: FastAPI) -> AsyncClient:
    """Return a client that is not signed in; it has no connection to close."""
    return calling(app)


@pytest.fixture
async def client(anonymous: AsyncClient) -> AsyncClient:
    """Return a client that is signed in, if the project has sign-in."""
    await sign_in(anonymous)
    return anonymous


@pytest.fixture
async def admin_client(app: FastAPI) -> AsyncClient:
    """Return a client that is signed in as an administrator; skip the test if the project has no sign-in."""
    client = calling(app)
    await sign_in(client, await add_account(app, "root", is_admin=True), as_admin=True)
    return client


@pytest.fixture
def database(app: FastAPI) -> Database:
    """Return the database of the running application."""
    return services_of(app).database
