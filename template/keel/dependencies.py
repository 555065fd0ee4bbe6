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
from keel.services import Services, services_of


async def get_services(connection: HTTPConnection) -> Services:
    """Return everything that the application works with."""
    return services_of(connection.app)


async def get_database(connection: HTTPConnection) -> Database:
    """Return the application's database."""
    return services_of(connection.app).database


async def get_session(connection: HTTPConnection) -> AsyncGenerator[Session]:
    """Give a request its one transaction."""
    database: Database = services_of(connection.app).database
    async with database.transaction() as session:
        yield session


async def get_read_session(connection: HTTPConnection) -> ReadSession:
    """Return what reads without a transaction."""
    return services_of(connection.app).database.read


async def get_cache(connection: HTTPConnection) -> Cache:
    """Return the application's cache."""
    return services_of(connection.app).cache


async def get_pubsub(connection: HTTPConnection) -> PubSub:
    """Return where messages are published and subscribed to."""
    return services_of(connection.app).pubsub


async def get_jobs(connection: HTTPConnection) -> Jobs:
    """Return where the application enqueues jobs."""
    return services_of(connection.app).jobs


async def get_shutdown(connection: HTTPConnection) -> Shutdown:
    """Return what tells long responses that the process is about to stop."""
    return services_of(connection.app).shutdown


ServicesDep = Annotated[Services, Depends(get_services)]
DatabaseDep = Annotated[Database, Depends(get_database)]
# Function scope: the commit comes before the response, so what the caller is told has really happened.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
ReadSessionDep = Annotated[ReadSession, Depends(get_read_session)]
CacheDep = Annotated[Cache, Depends(get_cache)]
PubSubDep = Annotated[PubSub, Depends(get_pubsub)]
JobsDep = Annotated[Jobs, Depends(get_jobs)]
ShutdownDep = Annotated[Shutdown, Depends(get_shutdown)]
