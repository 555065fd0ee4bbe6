"""A project whose commands run in a warm process: the same programs and arguments, without the cost of imports.

uv itself, git and the linters run normally, but nothing is installed. `Isolated` projects show that commands work in
an environment made by `uv sync` alone; here the declared imports are checked instead.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.machinery.bytecode import share_bytecode
from tests.machinery.examination import SUITE, WITHOUT_APART
from tests.machinery.serving import Isolated
from tests.machinery.warm import base_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

#: Programs after `uv run`, and what to call in the warm process instead.
_WARM = {
    ("python", "-m", "app"): "app",
    ("alembic",): "alembic",
    ("lint-imports",): "importlinter.cli:lint_imports_command",
    ("pytest",): "pytest",
}


class Warm(Isolated):
    """A project whose Python programs are forked from a warm process."""

    def __init__(
        self,
        project: Path,
        resources: Resources,
        warm: WarmProcess,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Take a rendered project, where to run its commands, and their variables."""
        super().__init__(project, environment)
        self._bench, self._warm = resources, warm
        self._given = dict(environment or {})
        self._compiled: dict[Path, int] = {}

    def run(self, *command: str, timeout: float = 900, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `uv` with these arguments, or the program that `uv run` would run."""
        if command[0] == "sync":
            command = ("lock", *command[1:])  # checks that the declared versions are compatible
        if command[0] != "run":
            return super().run(*command, timeout=timeout, **variables)
        for words, module in _WARM.items():
            if command[1 : len(words) + 1] == words:
                arguments = command[len(words) + 1 :]
                return self._forked(module, arguments, timeout, {**self._given, **variables})
        name, *arguments = command[1:]
        program = [str(self._bench.python.parent / name), *arguments]
        environment = {**base_environment(self._bench.python), **self._given, **variables}
        return subprocess.run(
            program,
            cwd=self.project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def _forked(
        self, module: str, arguments: tuple[str, ...], timeout: float, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        share_bytecode(self.project, self._bench.scratch / "bytecode", self._compiled)
        options = (*SUITE, *WITHOUT_APART) if module == "pytest" else ()
        outcome = self._warm.run(
            module,
            *options,
            *arguments,
            directory=self.project,
            environment=environment,
            timeout=timeout,
        )
        return subprocess.CompletedProcess(arguments, outcome.status, outcome.output, "")
