"""Beacons over HTTP."""

from httpx2 import AsyncClient


async def test_a_beacon_is_lit(client: AsyncClient) -> None:
    """Its brightness comes back as people read it."""
    answer = await client.post("/api/v1/beacons", json={"name": "Kullen", "candela": 186000})
    assert answer.status_code == 201
    assert answer.json() == {"name": "Kullen", "brightness": "186,000 cd"}
