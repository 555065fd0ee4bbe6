"""How a request gets its services."""

from typing import Annotated

from fastapi import Depends

from keel.beacon.service import BeaconService
from keel.dependencies import SessionDep
from keel.identity import CallerDep


async def get_service(session: SessionDep, caller: CallerDep) -> BeaconService:
    """Return what lights the caller's beacons."""
    return BeaconService(session, caller)


BeaconsDep = Annotated[BeaconService, Depends(get_service)]
