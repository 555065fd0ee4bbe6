"""Settings and a room for all tests."""

import pytest
from httpx2 import AsyncClient

from keel.testing.support import PATIENCE

ENVIRONMENT = {
    "WEBSOCKETS_MESSAGE_RATE": "1000000/second",
    # Polls come soon.
    "CHAT_POLL_SECONDS": "0.05",
    "CHAT_PRESENCE_SECONDS": "0.05",
    # On a busy machine, a client may need long.
    "WEBSOCKETS_AUTHENTICATE_SECONDS": str(PATIENCE),
}


@pytest.fixture
async def room(client: AsyncClient) -> str:
    """Return a room without messages."""
    from tests.examples.chat.api import open_room  # Not before pytest knows the modules of other fixtures.

    return await open_room(client)
