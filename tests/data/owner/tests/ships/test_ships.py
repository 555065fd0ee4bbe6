"""Ships over HTTP."""

from httpx2 import AsyncClient


async def test_ships_greet(client: AsyncClient) -> None:
    """The owner's own route answers."""
    answer = await client.get("/api/v1/ships/greeting")
    assert answer.json() == {"greeting": "Ahoy"}


async def test_the_tide_is_told(client: AsyncClient) -> None:
    """The owner's route outside any package answers, too."""
    answer = await client.get("/api/v1/tide")
    assert answer.json() == {"tide": "rising"}
