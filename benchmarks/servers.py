"""Servers under measurement: one uvicorn worker each, pinned to one processor."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.project import Project, clean_environment

SERVER_CPU, LOAD_CPU = 0, 1
DEADLINE = 30.0


@dataclass(frozen=True)
class Contender:
    """Something that serves: where its code is, and the settings that it needs."""

    name: str
    folder: Path
    target: str
    env: dict[str, str]


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
def serving(contender: Contender, project: Project, log: Path, *options: str) -> Generator[Server]:
    """Run a contender in the project's environment until the block ends; its output goes to a file."""
    port = free_port()
    command = [str(project.python), "-m", "uvicorn", contender.target, "--port", str(port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", *options]
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


def start_up(contender: Contender, project: Project, log: Path, rounds: int) -> tuple[float, float]:
    """Return the medians of seconds to the first 200, and of seconds that the first POST takes after it."""
    starts, posts = [], []
    for _ in range(rounds):
        with serving(contender, project, log) as server:
            starts.append(server.started_after)
            before = time.perf_counter()
            answer = request(server.port, "POST", "/api/v1/notes", b'{"title": "First", "body": ""}')
            posts.append(time.perf_counter() - before)
            if b" 201 " not in answer.partition(b"\r\n")[0]:
                raise RuntimeError(f"{contender.name} answered {answer!r}")
    return median(starts), median(posts)


def request(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """Return the raw answer to a request, or nothing if nobody listens."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    )
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
    """Return a port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
