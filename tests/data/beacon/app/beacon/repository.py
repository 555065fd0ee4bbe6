"""Queries on beacons."""

from app.beacon.models import Beacon
from app.core.database import Session


class BeaconRepository:
    """Stores beacons."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, beacon: Beacon) -> None:
        """Store a new beacon."""
        self._session.add(beacon)
        await self._session.flush()
