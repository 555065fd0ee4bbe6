"""Ports for servers that need to know where to listen."""

import socket
import sys


class Port:
    """A reserved port of this machine that no other process gets, even while no server listens on it.

    A bound socket that does not listen reserves it. On Linux a server with SO_REUSEADDR, which servers set, can still
    listen on the port (socket(7)); elsewhere the socket would block it, so there the port only probably stays free.
    """

    def __init__(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.number: int = self._kept.getsockname()[1]
        if sys.platform != "linux":
            self._kept.close()

    def close(self) -> None:
        """Release the port."""
        self._kept.close()
