"""Results whose Python side is the same byte for byte are examined once, by whichever worker comes first."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: What no Python code of a project reads, nor its tests: the only files in which two results may differ.
_ASIDE = (".copier-answers.yml", ".github/", ".gitlab-ci.yml", "README.md", "deploy/k8s/", "docs/")
#: The first examines for as long as that takes, on a busy machine and twice where its suite fails.
_PATIENCE = 3000


class Reuse:
    """A claim on one content, kept in a directory that the workers share."""

    def __init__(self, store: Path, project: Path) -> None:
        """Take the digest of the project's Python side."""
        store.mkdir(parents=True, exist_ok=True)
        self._claim = store / digest(project)
        self._outcome = self._claim.with_suffix(".json")

    def claim(self) -> bool:
        """Whether the caller is first, and shall publish the outcome."""
        try:
            self._claim.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def publish(self, outcome: str) -> None:
        """Hand over the outcome to the others."""
        draft = self._claim.with_suffix(".draft")
        draft.write_text(outcome, encoding="utf-8")
        draft.rename(self._outcome)

    def wait(self) -> str:
        """The outcome of the process that was first."""
        deadline = time.monotonic() + _PATIENCE
        while not self._outcome.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("The worker that was first with the same content did not finish")
            time.sleep(0.05)
        return self._outcome.read_text(encoding="utf-8")


def digest(project: Path) -> str:
    """The digest of every file but those set aside, with their paths."""
    result = hashlib.sha256()
    for path in sorted(path for path in project.rglob("*") if path.is_file()):
        name = path.relative_to(project).as_posix()
        if not name.startswith(_ASIDE):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            result.update(f"{name}\0{content}\0".encode())
    return result.hexdigest()
