"""A collector that accepts and discards all data: `python -m benchmarks.sink` prints its port."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.servers import LOAD_CPU, pinned


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Accept a request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """Log nothing."""


@contextmanager
def running() -> Generator[str]:
    """Run the collector on the load generator's CPU until the block ends; return its address."""
    command = pinned(LOAD_CPU, [sys.executable, "-m", "benchmarks.sink"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = next(iter(process.stdout or ()))
            yield f"http://127.0.0.1:{port.strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
