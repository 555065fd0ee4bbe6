"""Stand-ins for programs that are not available (of a cluster, of a forge), which record how scripts call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PROGRAM = """#!{python}
import json, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
words = " ".join(sys.argv[1:])
status, output = next((answer for start, answer in {answers!r}.items() if words.startswith(start)), (0, ""))
print(output, end="")
sys.exit(status)
"""


class Recorder:
    """Replaces a program on the PATH of the scripts that it runs."""

    def __init__(
        self, directory: Path, name: str, answers: Mapping[str, tuple[int, str]] | None = None
    ) -> None:
        """Take a folder for the program, its name, and its answers (status and output) by the first words of a call."""
        directory.mkdir()
        self._directory = directory
        self._calls = directory / "calls"
        self._calls.touch()
        program = directory / name
        text = _PROGRAM.format(python=sys.executable, calls=str(self._calls), answers=dict(answers or {}))
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """Return the arguments of each call."""
        return [json.loads(line) for line in self._calls.read_text(encoding="utf-8").splitlines()]

    def run(
        self, *command: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with the program on its PATH."""
        path = f"{self._directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, **variables, "PATH": path}
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
