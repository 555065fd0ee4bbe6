"""The combinations of answers that are tested: all of them if that is affordable, else a covering set.

The id of a combination is `database+feature+feature`, followed by the answers to further questions that differ from
the default: `postgresql+auth+redis+ci-none+kubernetes`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import TYPE_CHECKING, Any

from tests.machinery.questions import DATABASE, Axis, Questions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: The number of toggles that are run exhaustively by default, in the order in which they are asked.
EXHAUSTIVE = 64

_CANDIDATES = 60

#: How questions with two answers depend on the first toggles: an answer is the parity of these, by number.
#: Parities of an odd number of toggles make any three answers meet equally often, three of them or these and the
#: toggles themselves; for a sum of three odd sets is not empty. These were chosen by trial among all such: few of the
#: rows suffice for any three answers (12 for the database and the example, 17 with three more), so that each test file
#: of a project has to be run in few combinations (`shares`).
_PARITIES = ((0, 1, 3), (2, 4, 5), (0, 2, 4), (1, 2, 4), (0, 2, 3), (1, 3, 5))

#: Answers that may occur together in a row.
Group = frozenset[tuple[str, Any]]


@dataclass(frozen=True)
class Combination:
    """One answer to each closed question."""

    id: str
    choices: tuple[tuple[str, Any], ...]

    @property
    def answers(self) -> dict[str, Any]:
        """The answers by question."""
        return dict(self.choices)


def combine(questions: Questions, answers: dict[str, Any]) -> Combination:
    """Return the combination for these answers. An omitted question gets its default, an omitted toggle no."""
    axes = (
        questions.databases,
        *(Axis(name, (False, True)) for name in questions.toggles),
        *questions.extras,
    )
    unknown = answers.keys() - {axis.name for axis in axes}
    if unknown:
        raise ValueError(f"No such closed question: {', '.join(sorted(unknown))}")
    full = {axis.name: answers.get(axis.name, axis.default) for axis in axes}
    words = [str(full[DATABASE]), *(name for name in questions.toggles if full[name])]
    words += [_word(axis, full[axis.name]) for axis in questions.extras if full[axis.name] != axis.default]
    return Combination("+".join(words), tuple(full.items()))


def parse(questions: Questions, text: str) -> Combination:
    """Return the combination with this id; raise ValueError with the known words if it is not valid."""
    known: dict[str, tuple[str, Any]] = {
        str(value): (DATABASE, value) for value in questions.databases.values
    }
    known |= {name: (name, True) for name in questions.toggles}
    known |= {
        _word(axis, value): (axis.name, value) for axis in questions.extras for value in axis.values[1:]
    }
    words = text.split("+")
    if strange := [word for word in words if word not in known]:
        raise ValueError(f"Unknown words in {text!r}: {', '.join(strange)}. Known words: {', '.join(known)}")
    return combine(questions, dict(known[word] for word in words))


def default_set(questions: Questions) -> list[Combination]:
    """Return the default run: the extremes, every choice among the first toggles, any three answers at least once.

    Each choice of toggles comes with one database and one answer to each further question. If there are two answers,
    parity decides; otherwise the one that covers most new groups of three.
    """
    few = questions.toggles
    while 2 ** len(few) > EXHAUSTIVE:
        few = few[:-1]
    axes = _axes(questions)
    chosen = [combination.answers for combination in extremes(questions)]
    missing = set(_tuples(axes, 3))
    for row in chosen:
        missing -= _groups(axes, row, 3)
    known = {tuple(row[name] for name in few) for row in chosen}
    chance = random.Random(0)  # noqa: S311 - it must repeat itself
    for values in product((False, True), repeat=len(few)):
        if values not in known:
            wanted = dict(zip(few, values, strict=True)) | _by_parity(questions, values)
            rows = islice(_rows(axes, wanted, chance), _CANDIDATES)
            best = max(rows, key=lambda row: len(_groups(axes, row, 3) & missing))
            missing -= _groups(axes, best, 3)
            chosen.append(best)
    return _unique([*(combine(questions, row) for row in chosen), *_covering(questions, axes, missing)])


def _by_parity(questions: Questions, values: Sequence[bool]) -> dict[str, Any]:
    """Return the other answers for a choice among the first toggles: database, parts, further toggles, the rest."""
    parts = [axis for axis in questions.extras if axis.name in questions.parts]
    later = [Axis(name, (False, True)) for name in questions.toggles[len(values) :]]
    axes = [questions.databases, *parts, *later, *(axis for axis in questions.extras if axis not in parts)]
    pairs = [axis for axis in axes if len(axis.values) == 2]  # noqa: PLR2004 - two answers
    found = {}
    for axis, parity in zip(pairs, _PARITIES, strict=False):
        if max(parity) < len(values):
            found[axis.name] = axis.values[sum(values[number] for number in parity) % 2]
    return found


def full_set(questions: Questions) -> list[Combination]:
    """Return the full run: every choice of toggles with each database, and the default run for further questions."""
    return _unique([*default_set(questions), *exhaustive(questions, questions.toggles)])


def exhaustive(questions: Questions, toggles: Sequence[str]) -> list[Combination]:
    """Return all choices among these toggles, with each database."""
    names = (DATABASE, *toggles)
    values = (questions.databases.values, *((False, True) for _ in toggles))
    return [combine(questions, dict(zip(names, row, strict=True))) for row in product(*values)]


def extremes(questions: Questions) -> list[Combination]:
    """Return nothing and everything, with each database, with and without the example.

    The first has the fewest features, the last the most; both have the example.
    """
    everything = dict.fromkeys(questions.toggles, True)
    last = {axis.name: axis.values[-1] for axis in questions.extras if axis.name not in questions.parts}
    without = dict.fromkeys(questions.parts, False)
    smallest, *rest = (
        {DATABASE: database, **answers}
        for database in questions.databases.values
        for answers in ({}, {**everything, **last})
    )
    bare = [{**answers, **without} for answers in (smallest, *rest)] if without else []
    return [combine(questions, answers) for answers in (smallest, *bare, *rest)]


def cover(questions: Questions, strength: int) -> list[Combination]:
    """Return combinations that cover any `strength` answers at least once: greedy, and the same on every machine."""
    axes = _axes(questions)
    return _covering(questions, axes, set(_tuples(axes, strength)))


def _covering(questions: Questions, axes: Sequence[Axis], missing: set[Group]) -> list[Combination]:
    chance = random.Random(0)  # noqa: S311 - it must repeat itself
    chosen = []
    while missing:
        wanted = dict(min(missing, key=_order))
        rows = islice(_rows(axes, wanted, chance), _CANDIDATES)
        best = max(rows, key=lambda row: sum(group <= row.items() for group in missing))
        missing = {group for group in missing if not group <= best.items()}
        chosen.append(combine(questions, best))
    return chosen


def _axes(questions: Questions) -> tuple[Axis, ...]:
    toggles = (Axis(name, (False, True)) for name in questions.toggles)
    return (questions.databases, *toggles, *questions.extras)


def _tuples(axes: Sequence[Axis], strength: int) -> Iterator[frozenset[tuple[str, Any]]]:
    for group in combinations(axes, min(strength, len(axes))):
        for values in product(*(axis.values for axis in group)):
            yield frozenset((axis.name, value) for axis, value in zip(group, values, strict=True))


def _groups(axes: Sequence[Axis], row: dict[str, Any], strength: int) -> set[Group]:
    """Return the groups of answers that occur together in a row."""
    answers = [(axis.name, row[axis.name]) for axis in axes]
    return {frozenset(group) for group in combinations(answers, min(strength, len(answers)))}


def _order(group: frozenset[tuple[str, Any]]) -> list[str]:
    """Return the group in a fixed order: that of a set differs between processes."""
    return sorted(map(repr, group))


def _rows(axes: Sequence[Axis], wanted: dict[str, Any], chance: random.Random) -> Iterator[dict[str, Any]]:
    while True:
        yield {axis.name: chance.choice(axis.values) for axis in axes} | wanted


def _word(axis: Axis, value: object) -> str:
    return axis.name if value is True else f"{axis.name}-{str(value).lower()}"


def _unique(combinations: Iterable[Combination]) -> list[Combination]:
    return list({combination.id: combination for combination in combinations}.values())
