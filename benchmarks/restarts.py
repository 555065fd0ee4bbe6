"""ASGI servers with two workers each: throughput, memory, and errors that clients see during restarts.

uv run --group benchmarks python -m benchmarks.restarts --help
"""

import argparse
import asyncio
import os
import platform
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from benchmarks import stores
from benchmarks.load import generator, put
from benchmarks.preparation import with_database
from benchmarks.project import Project, clean_environment, render
from benchmarks.report import table
from benchmarks.routes import Routes
from benchmarks.servers import Contender, Server, free_port, request
from benchmarks.settings import SETTINGS

WORKERS = 2
UVICORN = (
    "--loop",
    "uvloop",
    "--http",
    "httptools",
    "--no-access-log",
    "--timeout-graceful-shutdown",
    "24",
    "--timeout-worker-healthcheck",
    "60",
)
SERVERS: dict[str, tuple[str, ...]] = {
    "gunicorn, the project's": ("gunicorn", "--config", "deploy/gunicorn.conf.py", "app.main:app"),
    "gunicorn, uvicorn-worker": ("gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "app.main:app"),
    "gunicorn, asgi": ("gunicorn", "-k", "asgi", "-w", "2", "app.main:app"),
    "uvicorn --workers": ("uvicorn", "app.main:app", "--workers", "2", *UVICORN),
    "granian": (
        "granian",
        "app.main:app",
        "--interface",
        "asgi",
        "--workers",
        "2",
        "--loop",
        "uvloop",
        "--no-ws",
    ),
}
REQUEST = b"GET /api/v1/notes?limit=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: %s\r\n\r\n"


@dataclass
class Seen:
    """Responses and errors seen by clients."""

    answered: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0


class Clients:
    """Clients that send requests continuously, half of them on persistent connections."""

    def __init__(self, port: int, count: int) -> None:
        """Prepare the clients."""
        self._port = port
        self._count = count
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.seen = Seen()

    async def __aenter__(self) -> Seen:
        """Start the clients."""
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(self._count)]
        return self.seen

    async def __aexit__(self, *_: object) -> None:
        """Stop the clients."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def _ask(self, number: int) -> None:
        dice = random.Random(number)  # noqa: S311 - for pauses
        streams = None
        keep = bool(number % 2)
        while not self._over.is_set():
            await asyncio.sleep(dice.uniform(0, 0.02))
            begun = time.monotonic()
            stage = "refused"
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                stage = "broken"
                streams[1].write(REQUEST % (b"keep-alive" if keep else b"close"))
                async with asyncio.timeout(30):
                    head = (await streams[0].readuntil(b"\r\n\r\n")).lower()
                    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    await streams[0].readexactly(length)
                self.seen.answered += 1
                self.seen.longest = max(self.seen.longest, time.monotonic() - begun)
                if not head.startswith(b"http/1.1 200"):
                    self.seen.troubles[head[9:12].decode()] += 1
                if keep and b"connection: close" not in head:
                    continue
            except (OSError, EOFError, ValueError, TimeoutError):
                self.seen.troubles[stage] += 1
            if streams:
                streams[1].close()
            streams = None


class Running:
    """A running server."""

    def __init__(self, command: tuple[str, ...], project: Project, env: dict[str, str], log: Path) -> None:
        """Start the server."""
        self.port = free_port()
        options = {
            "gunicorn": ("--bind", f"127.0.0.1:{self.port}", "--graceful-timeout", "30"),
            "uvicorn": ("--port", str(self.port)),
            "granian": ("--port", str(self.port), "--workers-kill-timeout", "30"),
        }[command[0]]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [project.python, "-m", *command, *options],
                cwd=project.path,
                env=clean_environment() | env | {"WEB_CONCURRENCY": str(WORKERS)},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._log = log

    @property
    def workers(self) -> list[psutil.Process]:
        """Return the worker processes: children with the application loaded, recognized by their memory."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if child.memory_info().rss > 50 * 2**20]

    async def wait(self) -> None:
        """Wait until all workers accept requests."""
        await until(lambda: len(self.workers) >= WORKERS)
        await until(lambda: b" 200 " in request(self.port, "GET", "/healthz"))
        await asyncio.sleep(2)

    def end(self) -> None:
        """End the server in any state."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


async def until(holds: Callable[[], bool]) -> bool:
    """Wait until a condition is true or time is up; return whether it is true."""
    end = time.monotonic() + 60
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.1)
    return True


async def during(server: Running, what: str, clients: int) -> Seen:
    """Return what clients see while the server is reloaded, loses a worker or is stopped."""
    async with Clients(server.port, clients) as seen:
        await asyncio.sleep(1)
        old = {worker.pid for worker in server.workers}
        if what == "reload":
            server.process.send_signal(signal.SIGHUP)
            if not await until(lambda: not old & {worker.pid for worker in server.workers}):
                seen.troubles["old workers there after a minute"] += 1
            await until(lambda: len(server.workers) >= WORKERS)
            await asyncio.sleep(2)
        elif what == "kill":
            os.kill(min(old), signal.SIGKILL)
            await until(lambda: len(server.workers) >= WORKERS)
            await asyncio.sleep(2)
        else:
            server.process.send_signal(signal.SIGTERM)
            if not await until(lambda: server.process.poll() is not None):
                seen.troubles["still there after a minute"] += 1
    return seen


def main() -> None:
    """Render, install, run each server, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restarts", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds of throughput, interleaved (default: 3)"
    )
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16, help="clients while servers restart (default: 16)")
    parser.add_argument(
        "--server", action="append", choices=list(SERVERS), help="measure only this server; repeatable"
    )
    arguments = parser.parse_args()
    names = arguments.server or list(SERVERS)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.0f}, {WORKERS} workers; load by {generator()}\n"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-benchmark-")))
        project = render(folder / "project", "postgresql")
        install = ["uv", "pip", "install", "--quiet", "--python", str(project.python), "granian[uvloop]"]
        subprocess.run(install, check=True)
        make = stack.enter_context(stores.postgresql(folder))
        contender = Contender("project", project.python, project.path, "app.main:app", SETTINGS)
        env = stack.enter_context(with_database(contender, make, folder / "log", project)).env
        case = Routes().case("GET one")
        rates: dict[str, list[float]] = {name: [] for name in names}
        rows = {}
        for number in range(arguments.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                server = Running(SERVERS[name], project, env, folder / "log")
                try:
                    asyncio.run(server.wait())
                    target = Server(name, server.port, 0.0, server.process)
                    put(target, case, connections=32, seconds=1)
                    rates[name].append(put(target, case, connections=32, seconds=arguments.seconds).rate)
                    if number == 0:
                        memory = sum(each.memory_full_info().pss for each in server.workers) / 2**20
                        found = [
                            asyncio.run(during(server, what, arguments.clients))
                            for what in ("reload", "kill", "stop")
                        ]
                        rows[name] = (memory, found)
                finally:
                    server.end()
        lines = []
        for name, (memory, found) in rows.items():
            cells = [
                f"{dict(seen.troubles) or 'nothing'} of {seen.answered}, longest {seen.longest * 1e3:.0f} ms"
                for seen in found
            ]
            lines.append([name, f"{median(rates[name]):.0f}", f"{memory:.0f}", *cells])
        print(
            table(
                ["server", "GET one/s", "workers, MiB", "reload (SIGHUP)", "worker killed", "SIGTERM"], lines
            )
        )


if __name__ == "__main__":
    main()
