"""Helpers of fixtures and tests for calling an application."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncConnection

from keel.db.database import Database
from keel.messaging.mail import Mail
from keel.services import services_of
from keel.testing.identity import sign_in

PATIENCE = 60
"""Seconds after which a test stops waiting. Even on a busy machine, this is only reached if the event never happens:
tests that something happens soon show this by the order of events, not by a clock."""

RunScript = Callable[[str], Awaitable[None]]
"""Runs several SQL statements at once."""

Explain = Callable[[AsyncConnection, str, Any], Awaitable[list[str]]]
"""Returns the steps of a statement's plan, given its parameters, that use no index."""

Wipe = Callable[[], Awaitable[None]]
"""Empties every table."""


def calling(app: FastAPI) -> AsyncClient:
    """Return a client of a running application."""
    return AsyncClient(transport=ASGITransport(app, client=("192.0.2.1", 50000)), base_url="http://test")


@asynccontextmanager
async def running(app: FastAPI, *, signed_in: bool = True) -> AsyncGenerator[AsyncClient]:
    """Enter an application's lifespan and yield a client of it; e-mails are not sent."""
    services_of(app).mailer = Outbox()
    async with app.router.lifespan_context(app), calling(app) as client:
        if signed_in:
            await sign_in(client)
        yield client


def connections_in_use(database: Database) -> int:
    """Return how many connections are checked out."""
    pools = [engine.pool for engine in (database.writer, database.reader)]
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))


class Outbox:
    """Keeps e-mails instead of sending them."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        """Keep an e-mail."""
        self.mails.append(mail)


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until a condition is true; fail the test if it never is."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)
