"""The owner's middleware."""

from httpx2 import AsyncClient


async def test_every_answer_shows_the_flag(client: AsyncClient) -> None:
    """The owner's middleware is in its place, for Keel's routes too."""
    for path in ("/api/v1/tide", "/api/v1/notes", "/nowhere"):
        assert (await client.get(path)).headers["X-Flag"] == "blue-peter"
