"""Owners as Hypothesis makes them: files at any place, lines anywhere in what is theirs, files deleted."""

from __future__ import annotations

import keyword
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = Questions.load(ROOT / "copier.yml")
#: Names that Keel has for something, and others.
_TAKEN = (*QUESTIONS.toggles, "users", "tasks", "events", "notes", "health", "settings", "tests")
#: Folders that may hold whatever an owner likes, in the platform's wing too.
_FOLDERS = ("", "app", "tests", "docs", "scripts", "deploy", "keel/docs", "keel/web", ".github")
#: A package has to offer something: a table, or settings.
_OFFERS = {
    "models.py": '"""Tables."""\n',
    "settings.py": '"""Settings."""\n',
    "router.py": '"""HTTP."""\n\nfrom fastapi import APIRouter\n\nrouter = APIRouter()\n',
}
#: Files that are their owner's after the first copy, or to change: lines of theirs may stand anywhere in them.
_THEIRS = ("app/main.py", "README.md", "app/examples/*/*.py", "tests/examples/*/*.py")
_LINE = "# the owner's line {number}\n"

_words = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True).filter(
    lambda word: not keyword.iskeyword(word)
)
_names = st.one_of(st.sampled_from(_TAKEN), _words)


@dataclass(frozen=True)
class Owner:
    """What an owner does to a project."""

    #: Packages of `app/`, with the module that each has.
    packages: dict[str, str]
    #: Other files: folder and name.
    files: tuple[tuple[str, str], ...]
    #: Where lines are inserted: which file, and how far down in it (0 to 1).
    lines: tuple[tuple[int, float], ...]
    #: Which of the example's test files are deleted.
    deleted: tuple[int, ...]

    def settle(self, project: Path) -> dict[str, bytes | None]:
        """Do all of it; what is theirs by its path, and None for what they have deleted."""
        theirs: dict[str, bytes | None] = {}
        for name, module in self.packages.items():
            package = project / "app" / name
            package.mkdir()
            (package / "__init__.py").write_text('"""The owner\'s."""\n', encoding="utf-8")
            (package / module).write_text(_OFFERS[module], encoding="utf-8")
            theirs |= {path.relative_to(project).as_posix(): None for path in package.iterdir()}
        for folder, name in self.files:
            path = project / folder / f"own_{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n", encoding="utf-8")
            theirs[path.relative_to(project).as_posix()] = None
        candidates = sorted(
            path for pattern in _THEIRS for path in project.glob(pattern) if path.stat().st_size
        )
        for number, (index, depth) in enumerate(self.lines):
            path = candidates[index % len(candidates)]
            _insert(path, depth, _LINE.format(number=number))
            theirs[path.relative_to(project).as_posix()] = None
        theirs = {name: (project / name).read_bytes() for name in theirs}
        tests = sorted(project.glob("tests/examples/*/test_*.py"))
        for index in self.deleted[: len(tests)]:
            path = tests[index % len(tests)]
            path.unlink(missing_ok=True)
            theirs[path.relative_to(project).as_posix()] = None
        return theirs


def _insert(path: Path, depth: float, line: str) -> None:
    """Insert a line between two that stand at the left margin: there a comment is one, in Python and in Markdown."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [
        number
        for number in range(1, len(lines) + 1)
        if lines[number - 1] == "\n"
        and (number == len(lines) or lines[number].startswith(("async def", "def", "class")))
    ]
    place = places[int(depth * (len(places) - 1))] if places else len(lines)
    path.write_text("".join([*lines[:place], line, *lines[place:]]), encoding="utf-8")


owners = st.builds(
    Owner,
    packages=st.dictionaries(
        _names.filter(lambda name: name != "examples"), st.sampled_from(sorted(_OFFERS)), max_size=4
    ),
    files=st.lists(st.tuples(st.sampled_from(_FOLDERS), _names), max_size=6).map(tuple),
    lines=st.lists(st.tuples(st.integers(0, 99), st.floats(0, 1)), max_size=8).map(tuple),
    deleted=st.lists(st.integers(0, 99), max_size=2).map(tuple),
)


def fresh(project: Path, destination: Path) -> Path:
    """A copy of a project to try an owner on."""
    return shutil.copytree(project, destination, ignore=shutil.ignore_patterns("__pycache__"))
