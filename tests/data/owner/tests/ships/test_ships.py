"""Ships over HTTP."""

from httpx2 import AsyncClient


async def test_ships_greet(client: AsyncClient) -> None:
    """The owner's own route answers."""
    answer = await client.get("/api/v1/ships/greeting")
    assert answer.json() == {"greeting": "Ahoy"}
