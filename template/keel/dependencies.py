"""Dependencies: the application's services for path operations."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from keel.background.jobs import Jobs
from keel.background.shutdown import Shutdown
from keel.db.database import Database, ReadSession, Session
from keel.messaging.cache import Cache
from keel.messaging.pubsub import PubSub
from keel.services import Services

SESSION = "keel.session"
"""The key of a request's session in its ASGI scope, once it has one."""


def _services(connection: HTTPConnection) -> Services:
    return connection.app.state.services


async def get_services(connection: HTTPConnection) -> Services:
    """Return the application's services."""
    return _services(connection)


async def get_database(connection: HTTPConnection) -> Database:
    """Return the application's database."""
    return _services(connection).database


async def get_session(connection: HTTPConnection) -> AsyncGenerator[Session]:
    """Yield the request's only transaction."""
    database: Database = _services(connection).database
    async with database.transaction() as session:
        connection.scope[SESSION] = session
        yield session


async def get_read_session(connection: HTTPConnection) -> ReadSession:
    """Return a session that reads without a transaction."""
    return _services(connection).database.read


async def get_cache(connection: HTTPConnection) -> Cache:
    """Return the application's cache."""
    return _services(connection).cache


async def get_pubsub(connection: HTTPConnection) -> PubSub:
    """Return the application's pub/sub."""
    return _services(connection).pubsub


async def get_jobs(connection: HTTPConnection) -> Jobs:
    """Return the application's job queue."""
    return _services(connection).jobs


async def get_shutdown(connection: HTTPConnection) -> Shutdown:
    """Return the signal that the process is about to stop, for long responses."""
    return _services(connection).shutdown


ServicesDep = Annotated[Services, Depends(get_services)]
DatabaseDep = Annotated[Database, Depends(get_database)]
# Function scope: the commit precedes the response, so a success response is never wrong.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
ReadSessionDep = Annotated[ReadSession, Depends(get_read_session)]
CacheDep = Annotated[Cache, Depends(get_cache)]
PubSubDep = Annotated[PubSub, Depends(get_pubsub)]
JobsDep = Annotated[Jobs, Depends(get_jobs)]
ShutdownDep = Annotated[Shutdown, Depends(get_shutdown)]
