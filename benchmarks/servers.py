"""Servers under test: one uvicorn worker pinned to one CPU, or several on all CPUs."""

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.project import clean_environment
from benchmarks.routes import Routes

ROUTES = Routes()
SERVER_CPU, LOAD_CPU = 0, 1
DEADLINE = 30.0
OTHER_FILES = 200
"""Maximum number of open files of a server besides its connections."""


@dataclass(frozen=True)
class Contender:
    """An application to serve: its interpreter, code and settings."""

    name: str
    python: Path
    folder: Path
    target: str
    env: dict[str, str]
    signs_in: bool = False
    """Whether requests need an access token."""
    token: str = ""
    """Initial access token."""
    routes: Routes = ROUTES
    may_fail: bool = False
    """Whether failures under load are counted, rather than ending the run."""
    scales: bool = False
    """Whether it is also measured with several workers."""


@dataclass(frozen=True)
class Server:
    """A running contender."""

    name: str
    port: int
    started_after: float
    process: subprocess.Popen[bytes]

    @property
    def memory(self) -> float:
        """Return the resident memory of all its processes, in MiB."""
        return sum(each.memory_info().rss for each in self._processes) / 2**20

    @property
    def processor_time(self) -> float:
        """Return the CPU time used so far, in seconds."""
        spent = [each.cpu_times() for each in self._processes]
        return sum(times.user + times.system for times in spent)

    @property
    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]


def pinned(cpu: int, command: list[str]) -> list[str]:
    """Return the command, pinned to one CPU if the system supports it and has one to spare."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > LOAD_CPU:
        return ["taskset", "--cpu-list", str(cpu), *command]
    return command


@contextmanager
def serving(contender: Contender, log: Path, workers: int = 1) -> Generator[Server]:
    """Run a contender until the block ends; its output is written to a file."""
    port = free_port()
    command = [str(contender.python), "-m", "uvicorn", contender.target, "--port", str(port)]
    command += ["--no-access-log", "--loop", "uvloop", "--http", "httptools"]
    if workers > 1:
        command += ["--workers", str(workers)]
    else:
        command = pinned(SERVER_CPU, command)
    env = clean_environment() | contender.env
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=contender.folder, env=env, stdout=output, stderr=output)
        try:
            _wait_until_healthy(port, contender.routes.health, process, log)
            yield Server(contender.name, port, time.perf_counter() - started, process)
        finally:
            process.terminate()
            process.wait()


def add_row(server: Server, routes: Routes, token: str) -> float:
    """Add a row; return the duration in seconds.

    Raises:
        RuntimeError: the response is not a success.
    """
    before = time.perf_counter()
    answer = request(server.port, routes.method, routes.rows, routes.row.encode(), token)
    taken = time.perf_counter() - before
    if b" 20" not in answer.partition(b"\r\n")[0]:
        raise RuntimeError(f"{server.name} responded with {answer!r}")
    return taken


def request(port: int, method: str, path: str, body: bytes = b"", token: str = "") -> bytes:
    """Return the raw response to a request, or nothing if the port is closed."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    )
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    head += "Content-Type: application/json\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            connection.sendall(head.encode() + body)
            while part := connection.recv(65536):
                answer += part
    except ConnectionError:
        return b""
    return answer


def _wait_until_healthy(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while b" 200 " not in request(port, "GET", path).partition(b"\r\n")[0]:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.005)


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def allow_files(connections: int) -> None:
    """Raise the open file limit of this process and its children for a number of connections.

    Raises:
        SystemExit: the system does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{connections} connections need {needed} open files; `ulimit -H -n` says {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
