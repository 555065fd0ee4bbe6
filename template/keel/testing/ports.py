"""Ports for servers that are told where to listen."""

import socket
import sys


class Port:
    """A port of this machine that no other process is given, whether a server listens there already, or between two starts.

    What keeps it is a socket that does not listen. On Linux a server can listen beside it if it sets SO_REUSEADDR, which
    servers do (socket(7)); elsewhere that socket would be in its way, so there the port is only likely to stay free.
    """

    def __init__(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.number: int = self._kept.getsockname()[1]
        if sys.platform != "linux":
            self._kept.close()

    def close(self) -> None:
        """Let others have it."""
        self._kept.close()
