"""Dependencies: services that path operations share with sockets."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from keel.services import services_of
from keel.websockets.presence import Presence


async def get_presence(connection: HTTPConnection) -> Presence:
    """Return the application's presence."""
    return services_of(connection.app).presence


PresenceDep = Annotated[Presence, Depends(get_presence)]
