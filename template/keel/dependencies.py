"""Dependencies: how a path operation gets the services of the application."""

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
"""The key in a request's scope under which its session is, once it has one."""


def _services(connection: HTTPConnection) -> Services:
    return connection.app.state.services


async def get_services(connection: HTTPConnection) -> Services:
    """Return everything that the application works with."""
    return _services(connection)


async def get_database(connection: HTTPConnection) -> Database:
    """Return the application's database."""
    return _services(connection).database


async def get_session(connection: HTTPConnection) -> AsyncGenerator[Session]:
    """Give a request its one transaction."""
    database: Database = _services(connection).database
    async with database.transaction() as session:
        connection.scope[SESSION] = session
        yield session


async def get_read_session(connection: HTTPConnection) -> ReadSession:
    """Return what reads without a transaction."""
    return _services(connection).database.read


async def get_cache(connection: HTTPConnection) -> Cache:
    """Return the application's cache."""
    return _services(connection).cache


async def get_pubsub(connection: HTTPConnection) -> PubSub:
    """Return where messages are published and subscribed to."""
    return _services(connection).pubsub


async def get_jobs(connection: HTTPConnection) -> Jobs:
    """Return where the application enqueues jobs."""
    return _services(connection).jobs


async def get_shutdown(connection: HTTPConnection) -> Shutdown:
    """Return what tells long responses that the process is about to stop."""
    return _services(connection).shutdown


ServicesDep = Annotated[Services, Depends(get_services)]
DatabaseDep = Annotated[Database, Depends(get_database)]
# Function scope: the commit comes before the response, so what the caller is told has really happened.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
ReadSessionDep = Annotated[ReadSession, Depends(get_read_session)]
CacheDep = Annotated[Cache, Depends(get_cache)]
PubSubDep = Annotated[PubSub, Depends(get_pubsub)]
JobsDep = Annotated[Jobs, Depends(get_jobs)]
ShutdownDep = Annotated[Shutdown, Depends(get_shutdown)]
