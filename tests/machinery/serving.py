"""An isolated project: its own environment from `uv sync`, its commands, and its server on a real socket."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.machinery.environment import uv

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

#: Seconds after which a test stops waiting for a server or a response. Even on a busy machine, this is only reached if
#: it never comes.
PATIENCE = 120


class Isolated:
    """A project with its own environment, used through its documented commands."""

    def __init__(self, project: Path, environment: Mapping[str, str] | None = None) -> None:
        """Take a rendered project, and variables for its commands."""
        self.project = project
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in {"VIRTUAL_ENV", "TEST_DATABASE_URL"}
        }
        self.environment = {**kept, **(environment or {})}

    def run(self, *command: str, timeout: float = 900, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `uv` with these arguments in the project; return its output and status."""
        return subprocess.run(
            [uv(), *command],
            cwd=self.project,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def must(self, *command: str, timeout: float = 900, **variables: str) -> str:
        """Run `uv` with these arguments and expect success; return its output."""
        result = self.run(*command, timeout=timeout, **variables)
        output = f"{result.stdout}{result.stderr}"
        assert result.returncode == 0, (
            f"uv {' '.join(command)} ended with {result.returncode}:\n{output[-6000:]}"
        )
        return output

    @contextlib.contextmanager
    def served(
        self, *command: str, port: int | None = None, **variables: str
    ) -> Generator[tuple[str, Server]]:
        """Run a server command, with `{port}` filled in; yield its address once it answers."""
        port = port or free_port()
        arguments = [uv(), "run", *(word.format(port=port) for word in command)]
        log = self.project.parent / f"{self.project.name}-server.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                arguments,
                cwd=self.project,
                env={**self.environment, **variables},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            server = Server(process, log)
            try:
                address = f"http://127.0.0.1:{port}"
                server.wait_until_ready(f"{address}/readyz")
                yield address, server
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Server:
    """A server process with its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Take a running process and its log file."""
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """Its output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self, url: str) -> None:
        """Send requests until the status is 200."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if request("GET", url)[0] == 200:  # noqa: PLR2004 - HTTP
                    return
            assert self.process.poll() is None, f"The server ended:\n{self.log}"
            assert time.monotonic() < deadline, f"The server did not become ready:\n{self.log}"
            time.sleep(0.05)

    def stop(self) -> int:
        """Stop it as an orchestrator does; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def request(
    method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Send a request with a client that shares no code with the project; return the status and the parsed body."""
    data = None if body is None else json.dumps(body).encode()
    return _send(method, url, data, {"Content-Type": "application/json", **(headers or {})})


def sign_in(isolated: Isolated, address: str) -> dict[str, str]:
    """Return the headers of a signed-in caller, obtained as in a project's documentation."""
    if not (isolated.project / "keel" / "auth").is_dir():
        return {}
    email, password = "owner@example.com", "correct horse battery staple"
    isolated.must("run", "python", "-m", "app", "auth", "create-admin", email, "--password", password)
    form = urllib.parse.urlencode({"username": email, "password": password}).encode()
    status, token = _send("POST", f"{address}/api/v1/auth/token", form, {})
    assert status == 200, token  # noqa: PLR2004 - HTTP
    return {"Authorization": f"Bearer {token['access_token']}"}


def _send(method: str, url: str, data: bytes | None, headers: Mapping[str, str]) -> tuple[int, Any]:
    message = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310 - an address of ours
    try:
        with urllib.request.urlopen(message, timeout=PATIENCE) as answer:  # noqa: S310 - an address of ours
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or "null")


def free_port() -> int:
    """Return a port without a listener, which no other process gets while this one runs.

    A bound socket that does not listen reserves it. On Linux a server with SO_REUSEADDR, which servers set, can still
    listen on the port (socket(7)); elsewhere the socket would block it.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    number = int(kept.getsockname()[1])
    if sys.platform == "linux":
        kept.detach()  # closed when the process ends
    else:
        kept.close()
    return number
