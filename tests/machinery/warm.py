"""The client of a warm process: run programs in a rendered project without repeating their imports."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

SERVER = Path(__file__).with_name("warm_server.py")

#: Variables of the developer's environment for jobs: other settings must not change an outcome.
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job: exit status (negative: the signal), CPU and wall seconds, output."""

    status: int
    cpu: float
    wall: float
    output: str

    def tail(self, lines: int = 60) -> str:
        """Return the end of the output."""
        return "\n".join(self.output.splitlines()[-lines:])


class WarmProcess:
    """One warm process; it serves one job at a time. A context manager."""

    #: CPU seconds of the jobs of all warm processes started by this process.
    spent: ClassVar[float] = 0.0

    def __init__(self, python: Path, modules: Path) -> None:
        """Take the interpreter of the shared environment and the list of modules to load."""
        self._command = [str(python), "-P", str(SERVER), str(modules)]
        self._environment = base_environment(python)
        self._process: subprocess.Popen[str] | None = None
        #: CPU seconds of all jobs.
        self.cpu: float = 0.0

    def __enter__(self) -> Self:
        """Start the process and wait until it has loaded its modules."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, text=True, env=self._environment
        )
        threads = self._answer()["threads"]
        if threads != 1:
            raise RuntimeError(f"The warm process has {threads} threads; forking is only safe with one")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, which stops when its input is closed."""
        if self._process is not None:
            self._process.__exit__(kind, error, trace)  # closes its pipes and waits

    def run(
        self,
        module: str,
        *arguments: str,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        timeout: float = 600,
        **options: Any,  # noqa: ANN401 - JSON
    ) -> Outcome:
        """Run `python -m module` (or a function, `module:name`) in this directory."""
        output = directory.parent / f"{directory.name}.log"
        output.unlink(missing_ok=True)
        job = {
            "module": module,
            "arguments": arguments,
            "directory": str(directory),
            "environment": {**self._environment, **(environment or {})},
            "output": str(output),
            "timeout": timeout,
            **options,
        }
        answer = self._ask(job)
        self.cpu += float(answer["cpu"])
        WarmProcess.spent += float(answer["cpu"])
        text = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
        output.unlink(missing_ok=True)
        return Outcome(answer["status"], answer["cpu"], answer["wall"], text)

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The warm process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def base_environment(python: Path) -> dict[str, str]:
    """Return the environment of a job: few of the developer's variables, and the shared environment first on PATH."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **kept,
        "PATH": f"{python.parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(python.parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        # Libraries with thread pools start them on import.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
