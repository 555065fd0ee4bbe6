"""HTTP for beacons."""

from fastapi import APIRouter, status

from keel.beacon.dependencies import BeaconsDep
from keel.beacon.schemas import Beacon, BeaconCreate
from keel.identity import RESPONSES

router = APIRouter(prefix="/beacons", tags=["beacon"], responses=RESPONSES)


@router.post("", status_code=status.HTTP_201_CREATED)
async def light_beacon(data: BeaconCreate, beacons: BeaconsDep) -> Beacon:
    """Light a beacon."""
    return await beacons.light(data)
