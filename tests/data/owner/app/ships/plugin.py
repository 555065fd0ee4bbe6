"""What ships do every morning."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from app.ships.models import Ship
from keel.caller import GUEST
from keel.db.database import Session
from keel.services import services_of


async def launch(session: Session, payload: Mapping[str, Any]) -> None:
    """Add a ship."""
    session.add(Ship(owner_id=GUEST.subject, name=payload["name"]))


def install(app: FastAPI) -> None:
    """Register the job and its schedule."""
    services = services_of(app)
    services.jobs.register("ships.launch", launch)
    services.schedule.add("a ship every morning", "ships.launch", "0 6 * * *", {"name": "Dawn"})
