"""Faults that are seeded in a rendered project one by one, each with the test or check that must find it.

A fault of behaviour is a changed place in a file, and the project's test that must then fail; a fault of form must be
found by one of the checks of a combination.
"""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.machinery import examination, imports, modules, reachability, text_checks
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from tests.machinery.questions import Questions
    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

DATA = ROOT / "tests" / "data" / "faults.toml"


@dataclass(frozen=True)
class Fault:
    """A changed place in one file, and the test or check that finds it."""

    name: str
    path: str
    old: str
    new: str
    found_by: str

    @contextmanager
    def seeded(self, project: Path) -> Generator[None]:
        """Change the file while the block runs.

        Raises:
            ValueError: the file contains the old text not at all, or several times.
        """
        file = project / self.path
        text = file.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.path}: contains {self.old!r} {text.count(self.old)} times")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(text, encoding="utf-8")


def load(kind: str) -> list[Fault]:
    """Return the faults of `behaviour`, `form` (of a project) or `template`."""
    return [Fault(**told) for told in tomllib.loads(DATA.read_text(encoding="utf-8"))[kind]]


def checks(
    project: Path,
    questions: Questions,
    answers: Mapping[str, Any],
    resources: Resources,
    warm: WarmProcess,
) -> dict[str, Callable[[], Iterable[str]]]:
    """Return the checks of form, by the names in a combination's report."""
    database = str(answers[DATABASE])
    return {
        "no Jinja is left": lambda: text_checks.leftovers(project),
        "no trace of what was not chosen": lambda: text_checks.traces(project, questions, answers),
        "ruff check": lambda: examination.program(
            project, resources, "ruff", "check", "--no-cache", "--quiet"
        ),
        "everything is reached": lambda: reachability.unreached(project),
        "declared imports": lambda: imports.undeclared(project, resources.python),
        "types": lambda: examination.type_errors(project, resources),
        "no circle of imports": lambda: modules.circles(project),
        "import contracts": lambda: examination.broken_contracts(project, warm),
        "migrations": lambda: examination.migration_faults(project, database, resources, warm),
    }
