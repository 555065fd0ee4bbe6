"""The projects in which features are switched on: derived from copier.yml, so a new toggle needs no change here."""

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
    """Toggles to switch on, the base project, and its database."""

    toggles: tuple[str, ...]
    base: str
    database: str
    preset: str
    #: Further questions with the answer yes.
    extras: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name of the case."""
        return f"{' and '.join(self.toggles)} on {self.base} with {self.database}"

    def answers(self, *, on: bool) -> dict[str, Any]:
        """Return the answers of the project; the preset supplies the rest."""
        extras = dict.fromkeys(self.extras, True)
        return {PRESET: self.preset, DATABASE: self.database, **extras, **self.change(on=on)}

    def change(self, *, on: bool) -> dict[str, bool]:
        """Return the answers that an update changes."""
        return dict.fromkeys(self.toggles, on)


def presets(questions: Questions) -> dict[str, frozenset[str]]:
    """Return the toggles that each preset suggests, smallest preset first."""
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
    """Return the presets to start from, by role; roles with the same toggles count once."""
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
    """Return every toggle on every base with every database."""
    return [
        _case(questions, (toggle,), base, database, preset)
        for toggle in questions.switchable
        for base, preset in bases(questions, toggle).items()
        for database in sorted(questions.databases.values)
    ]


def alone(questions: Questions) -> list[Case]:
    """Return each toggle alone, alternating databases."""
    databases, smallest = sorted(questions.databases.values), next(iter(presets(questions)))
    return [
        _case(questions, (toggle,), "minimal", databases[number % len(databases)], smallest)
        for number, toggle in enumerate(questions.switchable)
    ]


def pairs(questions: Questions) -> list[Case]:
    """Return each pair of toggles with everything else, alternating databases."""
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
    """Return a case; the largest project also has all further options."""
    largest = list(presets(questions))[-1]
    extras = [axis.name for axis in questions.extras if True in axis.values and preset == largest]
    return Case(toggles, base, database, preset, tuple(extras))


def deviating(questions: Questions, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that differ from the preset's, so that equal projects have equal answers."""
    contents = presets(questions)[answers.get(PRESET, questions.presets.default)]
    return {
        name: value
        for name, value in answers.items()
        if name not in questions.toggles or value != (name in contents)
    }
