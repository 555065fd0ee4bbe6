"""Distribution of the platform's test files over the combinations of the default run.

A project's resource is tested end to end in each combination. Every other file is run in enough combinations that any
three answers occur together, a feature's own files also in the combination with the fewest other features, and all
files with no feature and with all. The combinations differ from file to file: each gets its share. In a full run, any
four answers occur together.
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from tests.machinery.combinations import Group, default_set, extremes, full_set
from tests.machinery.questions import DATABASE
from tests.machinery.text_checks import absent_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.questions import Questions

STRENGTH = 3
#: The same for the full run.
FULL_STRENGTH = 4

_SHARED = ("keel/tests/**/test_*.py", "tests/examples/**/test_*.py")
#: The platform's own resource and the examples end to end, and the settings.
_EVERYWHERE = (
    "keel/tests/test_settings.py",
    "keel/tests/test_widgets.py",
    "tests/examples/*/test_isolation.py",
    "tests/examples/*/test_rooms.py",
    "tests/examples/*/test_router.py",
)

#: Every test goes through the application, which grows with each feature.
_COST_OF_A_FEATURE = 0.1
#: The number of random covers to try, and how many of the cheapest to use, each for different files.
_TRIALS, _KEPT = 12, 6

#: The answers of a combination that affect Python files.
Key = tuple[object, ...]


def shared_files(project: Path) -> list[str]:
    """Return the test files to distribute."""
    found = {path.relative_to(project).as_posix() for pattern in _SHARED for path in project.glob(pattern)}
    return sorted(path for path in found if not is_absent(path, _EVERYWHERE))


def is_absent(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path is excluded: a pattern names it or one of its parent folders."""
    return any(path.startswith(f"{pattern}/") or fnmatchcase(path, pattern) for pattern in patterns)


class Shares:
    """The distribution of files over the combinations of a run."""

    def __init__(self, questions: Questions, *, full: bool = False) -> None:
        """Take the questions; nothing is computed yet."""
        self._questions = questions
        self._rows = full_set(questions) if full else default_set(questions)
        self._strength = FULL_STRENGTH if full else STRENGTH
        self._names = (DATABASE, *questions.toggles, *questions.parts)
        self._homes: dict[str, set[Key]] = {}
        self._found: dict[tuple[frozenset[Key], int], list[set[Key]]] = {}
        self._numbers: dict[Group, int] = {}

    def left_out(self, combination: Combination, project: Path) -> list[str]:
        """Return the files of a project that are run elsewhere: in other combinations, or to measure their coverage."""
        key = self._key(combination)
        if key == self._covered:
            return shared_files(project)
        if key in self._whole or key not in self._groups:
            return []
        return [path for path in shared_files(project) if key not in self._home(path)]

    def own(self, combination: Combination) -> frozenset[str]:
        """Return the features whose tests all run here: no combination with them has fewer other features."""
        return self._own.get(self._key(combination), frozenset())

    def _home(self, path: str) -> set[Key]:
        """Return the combinations that run a file, in addition to those run whole."""
        if path not in self._homes:
            possible = [key for key, absent in self._absent.items() if not is_absent(path, absent)]
            own = {key for key, names in self._own.items() if names & {*path.split("/")}}
            there = {key for key in possible if key in self._whole or key in own}
            wanted = self._wanted(possible)
            for key in there:
                wanted &= ~self._groups[key]
            chance = random.Random(path)  # noqa: S311 - it must repeat itself
            self._homes[path] = there | chance.choice(self._covers(frozenset(possible), wanted))
        return self._homes[path]

    def _wanted(self, possible: Sequence[Key]) -> int:
        """Return the groups of answers possible for a file; if it depends on answers, only groups with one of these."""
        met = 0
        for key in possible:
            met |= self._groups[key]
        own = set.intersection(*(set(zip(self._names, key, strict=True)) for key in possible))
        concerned = sum(1 << number for group, number in self._numbers.items() if group & own)
        return met & concerned if own else met

    def _covers(self, possible: frozenset[Key], wanted: int) -> list[set[Key]]:
        """Return several covers of these groups, the cheapest of those tried."""
        if (possible, wanted) not in self._found:
            chance, order = random.Random(0), sorted(possible, key=repr)  # noqa: S311 - it must repeat itself
            tried = [self._cover(order, wanted, chance) for _ in range(_TRIALS)]
            self._found[possible, wanted] = sorted(tried, key=lambda keys: sum(map(self._cost, keys)))[:_KEPT]
        return self._found[possible, wanted]

    def _cover(self, possible: Sequence[Key], wanted: int, chance: random.Random) -> set[Key]:
        """Return few combinations that cover these groups: greedy, without superfluous ones."""
        order, missing, chosen = chance.sample(possible, len(possible)), wanted, dict[Key, None]()
        while missing:
            best = max(order, key=lambda key: (missing & self._groups[key]).bit_count() / self._cost(key))
            chosen[best] = None
            missing &= ~self._groups[best]
        for key in [*chosen]:
            rest = 0
            for other in chosen:
                rest |= self._groups[other] if other != key else 0
            if not wanted & ~rest:
                del chosen[key]
        return set(chosen)

    def _cost(self, key: Key) -> float:
        """Return the cost of a test there, relative to the smallest project."""
        return 1 + _COST_OF_A_FEATURE * sum(value is True for value in key)

    @cached_property
    def _groups(self) -> dict[Key, int]:
        """Return the groups of answers in each combination, as bits."""
        found = {}
        for row in self._rows:
            answers = [(name, row.answers[name]) for name in self._names]
            groups = [frozenset(group) for group in combinations(answers, self._strength)]
            found[self._key(row)] = sum(
                1 << self._numbers.setdefault(group, len(self._numbers)) for group in groups
            )
        return found

    @cached_property
    def _absent(self) -> dict[Key, list[str]]:
        """Return the paths that each combination lacks."""
        return {self._key(row): absent_patterns(self._questions, row.answers) for row in self._rows}

    @cached_property
    def _covered(self) -> Key:
        """Return the combination whose suite `test_thorough` runs whole, with coverage."""
        return self._key(extremes(self._questions)[0])

    @cached_property
    def _whole(self) -> set[Key]:
        """Return the combinations whose suites are run whole: no feature, or all, with the example."""
        every = len(self._questions.toggles)
        return {
            self._key(row)
            for row in self._rows
            if len(self._on(row)) in {0, every} and all(row.answers[part] for part in self._questions.parts)
        }

    @cached_property
    def _own(self) -> dict[Key, frozenset[str]]:
        """Return the combination of each feature with the fewest others; preferably with the example."""
        found: dict[Key, frozenset[str]] = {}
        for name in self._questions.toggles:
            row = min((row for row in self._rows if name in self._on(row)), key=self._besides)
            found[self._key(row)] = found.get(self._key(row), frozenset()) | {name}
        return found

    def _besides(self, row: Combination) -> tuple[bool, int]:
        return not all(row.answers[part] for part in self._questions.parts), len(self._on(row))

    def _on(self, row: Combination) -> list[str]:
        return [name for name in self._questions.toggles if row.answers[name] is True]

    def _key(self, row: Combination) -> Key:
        return tuple(row.answers[name] for name in self._names)
