"""Projects with identical Python files are examined once, by whichever worker comes first."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Files that neither Python code of a project nor its tests read: only these may differ.
_ASIDE = (".copier-answers.yml", ".github/", ".gitlab-ci.yml", "README.md", "deploy/k8s/", "docs/")
#: Long enough for the first worker's examination on a busy machine, with a second run of a failed suite.
_PATIENCE = 3000


class Reuse:
    """A claim on one content, stored in a directory that the workers share."""

    def __init__(self, store: Path, project: Path) -> None:
        """Take the digest of the project's Python side."""
        store.mkdir(parents=True, exist_ok=True)
        self._claim = store / digest(project)
        self._outcome = self._claim.with_suffix(".json")

    def claim(self) -> bool:
        """Whether the calling worker is first, and must publish the outcome."""
        try:
            self._claim.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def publish(self, outcome: str) -> None:
        """Publish the outcome to the other workers."""
        draft = self._claim.with_suffix(".draft")
        draft.write_text(outcome, encoding="utf-8")
        draft.rename(self._outcome)

    def wait(self) -> str:
        """Wait for the outcome of the first worker."""
        deadline = time.monotonic() + _PATIENCE
        while not self._outcome.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("The first worker with the same content did not finish")
            time.sleep(0.05)
        return self._outcome.read_text(encoding="utf-8")


def digest(project: Path) -> str:
    """Return the digest of every file that counts, with its path."""
    result = hashlib.sha256()
    for path in sorted(path for path in project.rglob("*") if path.is_file()):
        name = path.relative_to(project).as_posix()
        if not name.startswith(_ASIDE):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            result.update(f"{name}\0{content}\0".encode())
    return result.hexdigest()
