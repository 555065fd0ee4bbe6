"""The rules of beacons."""

import humanize

from keel.beacon import models
from keel.beacon.repository import BeaconRepository
from keel.beacon.schemas import Beacon, BeaconCreate
from keel.caller import Caller
from keel.db.database import Session


class BeaconService:
    """Lights a caller's beacons."""

    def __init__(self, session: Session, caller: Caller) -> None:
        self._beacons = BeaconRepository(session)
        self._caller = caller

    async def light(self, data: BeaconCreate) -> Beacon:
        """Add a beacon."""
        await self._beacons.add(models.Beacon(owner_id=self._caller.subject, name=data.name, candela=data.candela))
        return Beacon(name=data.name, brightness=f"{humanize.intcomma(data.candela)} cd")
