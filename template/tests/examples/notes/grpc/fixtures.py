"""A client of the notes service."""

from typing import TYPE_CHECKING

import grpc
import pytest
from httpx2 import AsyncClient

if TYPE_CHECKING:
    from tests.examples.notes.grpc.support import Notes


@pytest.fixture
def notes(channel: grpc.aio.Channel, client: AsyncClient) -> "Notes":
    """Return a client that calls as the same caller as the HTTP `client`."""
    # Not at the top: the example may have been deleted.
    from tests.examples.notes.grpc.support import Notes

    return Notes(channel, client.headers.get("Authorization"))
