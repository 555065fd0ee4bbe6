"""A terminal in which a test types the commands of a page or message literally."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.machinery.serving import Server, free_port
from tests.machinery.tools import tools

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

_FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIMEOUT = 900


def blocks(page: str) -> list[str]:
    """Return the commands of a page: its console code blocks."""
    return [fence[1] for fence in _FENCE.finditer(page)]


def lines(message: str) -> list[str]:
    """Return the commands of a Copier message: indented lines, up to two spaces before a remark."""
    found = re.findall(r"^ {4}(\S.*)$", message.rpartition("Next:")[2], re.MULTILINE)
    return [re.split(r"\s{2,}", line)[0] for line in found]


class Shell:
    """A shell in a directory; `cd` persists, as in a terminal."""

    def __init__(self, directory: Path, programs: Path, variables: Mapping[str, str] | None = None) -> None:
        """Take the initial directory, a folder for the shell's programs, and additional variables."""
        self.directory = directory
        self.port = free_port()
        self._end = programs / "directory"
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in {"VIRTUAL_ENV", "TEST_DATABASE_URL", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE"}
        }
        author = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Owner"), ("EMAIL", "owner@example.com"))
        }
        path = f"{tools(programs)}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self._environment = {
            **kept,
            **author,
            "PATH": path,
            "PORT": str(self.port),
            **(variables or {}),
        }

    def run(self, commands: str) -> tuple[int, str]:
        """Type commands; return the status of the first that fails (or 0), and the output."""
        script = f"set -eu\n{commands}\npwd > {shlex.quote(str(self._end))}\n"
        result = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
        if result.returncode == 0:
            self.directory = type(self.directory)(self._end.read_text(encoding="utf-8").strip())
        return result.returncode, result.stdout

    def must(self, commands: str) -> str:
        """Type commands that must succeed; return the output."""
        status, output = self.run(commands)
        assert status == 0, f"{commands}\nended with {status}:\n{output[-6000:]}"
        return output

    @contextlib.contextmanager
    def served(self, command: str) -> Generator[str]:
        """Type a command that serves until it is stopped; yield the address once it is healthy."""
        log = self._end.with_name("server.log")
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.directory,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                address = f"http://127.0.0.1:{self.port}"
                Server(process, log).wait_until_ready(f"{address}/readyz")
                yield address
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def without_docker(commands: Sequence[str]) -> list[str]:
    """Return the commands that do not need a container engine, judged by name."""
    return [command for command in commands if not command.startswith("docker ")]
