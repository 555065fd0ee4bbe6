"""Servers under measurement: one uvicorn worker each, pinned to one processor."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.project import clean_environment

SERVER_CPU, LOAD_CPU = 0, 1
DEADLINE = 30.0
NOTE = {"title": "Note", "body": "- measure the harbour\n- paint the station\n- count the notes\n" * 4}


@dataclass(frozen=True)
class Contender:
    """An application to serve: its interpreter, code and settings."""

    name: str
    python: Path
    folder: Path
    target: str
    env: dict[str, str]
    signs_in: bool = False
    """Whether requests carry an access token."""
    token: str = ""
    """An access token to begin with."""


@dataclass(frozen=True)
class Server:
    """A contender that runs."""

    name: str
    port: int
    started_after: float
    process: subprocess.Popen[bytes]

    @property
    def memory(self) -> float:
        """Return the resident memory in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    @property
    def processor_time(self) -> float:
        """Return the seconds of processor time spent so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


def pinned(cpu: int, command: list[str]) -> list[str]:
    """Return the command, kept to one processor where the machine can do that and has one to spare."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > LOAD_CPU:
        return ["taskset", "--cpu-list", str(cpu), *command]
    return command


@contextmanager
def serving(contender: Contender, log: Path, *options: str) -> Generator[Server]:
    """Run a contender until the block ends; its output goes to a file."""
    port = free_port()
    command = [str(contender.python), "-m", "uvicorn", contender.target, "--port", str(port)]
    command += ["--no-access-log", "--loop", "uvloop", "--http", "httptools", *options]
    env = clean_environment() | contender.env
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            pinned(SERVER_CPU, command), cwd=contender.folder, env=env, stdout=output, stderr=output
        )
        try:
            _wait_until_healthy(port, process, log)
            yield Server(contender.name, port, time.perf_counter() - started, process)
        finally:
            process.terminate()
            process.wait()


def add_note(server: Server, token: str) -> float:
    """Add a note; return the seconds that it took.

    Raises:
        RuntimeError: the answer is not 201.
    """
    before = time.perf_counter()
    answer = request(server.port, "POST", "/api/v1/notes", json.dumps(NOTE).encode(), token)
    taken = time.perf_counter() - before
    if b" 201 " not in answer.partition(b"\r\n")[0]:
        raise RuntimeError(f"{server.name} answered {answer!r}")
    return taken


def request(port: int, method: str, path: str, body: bytes = b"", token: str = "") -> bytes:
    """Return the raw answer to a request, or nothing if the port is closed."""
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


def _wait_until_healthy(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while b" 200 " not in request(port, "GET", "/healthz").partition(b"\r\n")[0]:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.005)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
