"""Which test files of the platform are run in which combinations of the default run.

The tests of the platform as a whole are run in each, and those of the examples that go through all of a resource.
The other files are each run where nothing, one feature or everything is chosen, and in so many more combinations
that any three answers meet in that file. Which these are differs from file to file, so that each combination gets
its share.
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from tests.machinery.combinations import Group, default_set
from tests.machinery.questions import DATABASE
from tests.machinery.text_checks import absent_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.questions import Questions

STRENGTH = 3

_SHARED = ("keel/tests/*/**/test_*.py", "tests/examples/**/test_*.py")
_EVERYWHERE = {"test_router.py", "test_isolation.py", "test_rooms.py"}

#: The answers of a combination that make a difference to Python.
Key = tuple[object, ...]


def shared_files(project: Path) -> list[str]:
    """The test files that are shared out."""
    found = (path.relative_to(project) for pattern in _SHARED for path in project.glob(pattern))
    return sorted(
        path.as_posix() for path in found if path.parts[0] == "keel" or path.name not in _EVERYWHERE
    )


def is_absent(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path is left out: it is what a pattern names, or lies in it."""
    return any(path.startswith(f"{pattern}/") or fnmatchcase(path, pattern) for pattern in patterns)


class Shares:
    """How files are shared out among the combinations of the default run."""

    def __init__(self, questions: Questions) -> None:
        """Take the questions; nothing is computed yet."""
        self._questions = questions
        self._names = (DATABASE, *questions.toggles, *questions.parts)
        self._homes: dict[str, set[Key]] = {}

    def left_out(self, combination: Combination, project: Path) -> list[str]:
        """The files of a project that other combinations run."""
        key = self._key(combination)
        if key in self._whole or key not in self._groups:
            return []
        return [path for path in shared_files(project) if key not in self._home(path)]

    def _home(self, path: str) -> set[Key]:
        """Where a file is run, besides the combinations that are run whole."""
        if path not in self._homes:
            possible = [key for key, absent in self._absent.items() if not is_absent(path, absent)]
            random.Random(path).shuffle(possible)  # noqa: S311 - it must repeat itself
            missing = 0
            for key in possible:
                missing |= self._groups[key]
            for key in self._whole.intersection(possible):
                missing &= ~self._groups[key]
            home = self._homes[path] = set()
            while missing:
                best = max(possible, key=lambda key: (missing & self._groups[key]).bit_count())
                home.add(best)
                missing &= ~self._groups[best]
        return self._homes[path]

    @cached_property
    def _groups(self) -> dict[Key, int]:
        """The groups of answers that meet in each combination, a bit for each."""
        numbers: dict[Group, int] = {}
        found = {}
        for row in self._rows:
            answers = [(name, row.answers[name]) for name in self._names]
            groups = [frozenset(group) for group in combinations(answers, STRENGTH)]
            found[self._key(row)] = sum(1 << numbers.setdefault(group, len(numbers)) for group in groups)
        return found

    @cached_property
    def _absent(self) -> dict[Key, list[str]]:
        """What each combination does not have."""
        return {self._key(row): absent_patterns(self._questions, row.answers) for row in self._rows}

    @cached_property
    def _whole(self) -> set[Key]:
        """Combinations whose suites are run whole: at most one feature, or all."""
        whole = {0, 1, len(self._questions.toggles)}
        return {self._key(row) for row in self._rows if self._count(row) in whole}

    @cached_property
    def _rows(self) -> list[Combination]:
        return default_set(self._questions)

    def _count(self, row: Combination) -> int:
        return sum(row.answers[name] is True for name in self._questions.toggles)

    def _key(self, row: Combination) -> Key:
        return tuple(row.answers[name] for name in self._names)
