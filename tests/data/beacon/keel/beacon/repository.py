"""Queries on beacons."""

from keel.beacon.models import Beacon
from keel.db.database import Session


class BeaconRepository:
    """Stores beacons."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, beacon: Beacon) -> None:
        """Store a new beacon."""
        self._session.add(beacon)
        await self._session.flush()
