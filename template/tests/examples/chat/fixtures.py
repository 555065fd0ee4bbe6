"""Settings and a room for all tests."""

import pytest
from httpx2 import AsyncClient

# Polls come soon.
ENVIRONMENT = {"CHAT_POLL_SECONDS": "0.05", "CHAT_PRESENCE_SECONDS": "0.05"}


@pytest.fixture
async def room(client: AsyncClient) -> str:
    """Return a room without messages."""
    from tests.examples.chat.api import open_room  # Not before pytest knows the modules of other fixtures.

    return await open_room(client)
