"""Packages, tables and routes with words that features use, too."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.crew.models import Event, Task, User
from app.ships.models import Ship
from keel.caller import GUEST
from keel.services import services_of


async def test_the_tables_are_the_owners(app: FastAPI, client: AsyncClient) -> None:
    """What is stored in `users`, `tasks` and `events` comes back from the owner's routes."""
    ship = Ship(owner_id=GUEST.subject, name="Argo")
    user = User(name="Jason")
    async with services_of(app).database.transaction() as session:
        session.add_all([ship, user])
        await session.flush()
        session.add_all([Task(user_id=user.id, title="Steer"), Event(ship_id=ship.id, text="Set sail")])

    assert (await client.get("/api/v1/crew/users")).json() == ["Jason"]
    assert (await client.get("/api/v1/crew/tasks")).json() == ["Steer"]
    assert (await client.get(f"/api/v1/ships/{ship.id}/events")).json() == ["Set sail"]


@pytest.mark.parametrize("name", ["auth", "chat", "redis", "websockets"])
async def test_packages_may_be_called_as_features_are(client: AsyncClient, name: str) -> None:
    """The owner's package answers."""
    assert (await client.get(f"/api/v1/harbour/{name}")).json() == {name: "ours"}
