"""Rooms."""

import pytest
from httpx2 import AsyncClient

from keel.testing.support import PATIENCE

ENVIRONMENT = {
    "CHAT_MESSAGE_RATE": "1000000/second",
    # What is looked at now and then is looked at soon.
    "CHAT_POLL_SECONDS": "0.05",
    "CHAT_PRESENCE_SECONDS": "0.05",
    # A busy machine is no silent client.
    "CHAT_AUTHENTICATE_SECONDS": str(PATIENCE),
}


@pytest.fixture
async def room(client: AsyncClient) -> str:
    """Return a room in which nothing was said yet."""
    from tests.examples.chat.api import open_room  # Not before pytest knows the modules of other fixtures.

    return await open_room(client)
