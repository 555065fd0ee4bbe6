"""Limits of sockets for all tests."""

from keel.testing.support import PATIENCE

ENVIRONMENT = {
    "WEBSOCKETS_MESSAGE_RATE": "1000000/second",
    # On a busy machine, a client may need long.
    "WEBSOCKETS_AUTHENTICATE_SECONDS": str(PATIENCE),
}
