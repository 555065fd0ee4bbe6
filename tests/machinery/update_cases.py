"""Which projects a feature is switched on in: derived from copier.yml, so a new toggle needs no change here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from tests.machinery.questions import DATABASE, PRESET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.machinery.questions import Questions


@dataclass(frozen=True)
class Case:
    """Toggles, what the project has before they are switched on, and where its rows are."""

    toggles: tuple[str, ...]
    base: str
    database: str
    preset: str
    #: Further questions that are answered with yes.
    extras: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """How the case is called."""
        return f"{' and '.join(self.toggles)} on {self.base} with {self.database}"

    def answers(self, *, on: bool) -> dict[str, Any]:
        """The answers of the project; what is left is answered by the preset."""
        extras = dict.fromkeys(self.extras, True)
        return {PRESET: self.preset, DATABASE: self.database, **extras, **self.change(on=on)}

    def change(self, *, on: bool) -> dict[str, bool]:
        """The answers that an update changes."""
        return dict.fromkeys(self.toggles, on)


def presets(questions: Questions) -> dict[str, frozenset[str]]:
    """Which toggles each preset suggests, the smallest preset first."""
    environment = Environment()  # noqa: S701 - no HTML
    contents = {
        preset: frozenset(
            toggle
            for toggle in questions.toggles
            if environment.from_string(str(questions.asked[toggle]["default"])).render(preset=preset)
            == "True"
        )
        for preset in questions.presets.values
    }
    return dict(sorted(contents.items(), key=lambda item: len(item[1])))


def bases(questions: Questions, toggle: str) -> dict[str, str]:
    """The presets to start from, by the role each plays: several roles of one content count once."""
    contents = presets(questions)
    smallest, *_, largest = contents
    below = [preset for preset, toggles in contents.items() if toggle not in toggles]
    roles = {"minimal": smallest, "everything else": largest}
    if below:
        roles["the preset below it"] = below[-1]
    roles["what is suggested"] = questions.presets.default
    seen = {}
    for role, preset in roles.items():
        seen.setdefault(contents[preset] - {toggle}, (role, preset))
    return dict(seen.values())


def cases(questions: Questions) -> list[Case]:
    """Every toggle on every base with every database."""
    return [
        _case(questions, (toggle,), base, database, preset)
        for toggle in questions.switchable
        for base, preset in bases(questions, toggle).items()
        for database in sorted(questions.databases.values)
    ]


def alone(questions: Questions) -> list[Case]:
    """Each toggle with nothing besides it, on one of the databases, in turn."""
    databases, smallest = sorted(questions.databases.values), next(iter(presets(questions)))
    return [
        _case(questions, (toggle,), "minimal", databases[number % len(databases)], smallest)
        for number, toggle in enumerate(questions.switchable)
    ]


def pairs(questions: Questions) -> list[Case]:
    """Two toggles at a time with everything else, on one of the databases, in turn."""
    databases, largest = sorted(questions.databases.values), [*presets(questions)][-1]
    every = questions.switchable
    return [
        _case(
            questions,
            every[first : first + 2],
            "everything else",
            databases[number % len(databases)],
            largest,
        )
        for number, first in enumerate(range(0, len(every), 2))
    ]


def _case(questions: Questions, toggles: tuple[str, ...], base: str, database: str, preset: str) -> Case:
    """The largest project has everything that can be had besides, too."""
    largest = list(presets(questions))[-1]
    extras = [axis.name for axis in questions.extras if True in axis.values and preset == largest]
    return Case(toggles, base, database, preset, tuple(extras))


def deviating(questions: Questions, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers without those that the preset suggests: the same for the same project."""
    contents = presets(questions)[answers.get(PRESET, questions.presets.default)]
    return {
        name: value
        for name, value in answers.items()
        if name not in questions.toggles or value != (name in contents)
    }
