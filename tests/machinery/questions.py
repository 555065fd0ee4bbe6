"""The questions of copier.yml. Nothing here names a feature: a new question needs no change in the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = "database"
PRESET = "preset"

#: Patterns of paths with Python code.
_CODE = re.compile(r"^/(app|keel|tests)/(?!docs/)")
_GUARD = re.compile(r"^\{% if (?P<condition>.+?) %\}$")


@dataclass(frozen=True)
class Axis:
    """One question with a closed set of answers, its default first."""

    name: str
    values: tuple[Any, ...]

    @property
    def default(self) -> Any:  # noqa: ANN401 - an answer is whatever YAML holds
        """The answer that the question suggests."""
        return self.values[0]


@dataclass(frozen=True)
class Manifest:
    """One block of `_exclude`: the files excluded if its condition is true."""

    condition: str
    patterns: tuple[str, ...]

    @property
    def question(self) -> str:
        """The question that decides, or an empty string if the operation does."""
        found = re.match(r"(?:not )?\(?(\w+)", self.condition)
        name = str(found.group(1)) if found else ""
        return "" if name.startswith("_") else name

    @property
    def is_shared(self) -> bool:
        """Whether it belongs to several features, and its files are excluded only if all are off."""
        return len(re.findall(r"\bnot \w+", self.condition)) > 1


@dataclass(frozen=True)
class Questions:
    """The parsed copier.yml."""

    raw: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Questions:
        """Read a copier.yml."""
        return cls(yaml.safe_load(path.read_text(encoding="utf-8")))

    @cached_property
    def asked(self) -> dict[str, dict[str, Any]]:
        """Every question by name, in the order in which it is asked."""
        return {name: value for name, value in self.raw.items() if not name.startswith("_")}

    @cached_property
    def toggles(self) -> tuple[str, ...]:
        """The features: yes/no questions whose default is derived from the preset."""
        return tuple(name for name, question in self.asked.items() if _is_toggle(question))

    @cached_property
    def databases(self) -> Axis:
        """The databases to choose from."""
        return _axis(DATABASE, self.asked[DATABASE])

    @cached_property
    def presets(self) -> Axis:
        """The presets to choose from."""
        return _axis(PRESET, self.asked[PRESET])

    @cached_property
    def extras(self) -> tuple[Axis, ...]:
        """Other closed questions: the example, continuous integration and the like."""
        known = {DATABASE, PRESET, *self.toggles}
        return tuple(
            _axis(name, question)
            for name, question in self.asked.items()
            if name not in known and (question["type"] == "bool" or "choices" in question)
        )

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The further yes/no questions that own code, though no preset answers them: the example."""
        owners = {
            manifest.question
            for manifest in self.manifests
            if any(_CODE.match(pattern) for pattern in manifest.patterns)
        }
        return tuple(axis.name for axis in self.extras if axis.name in owners and True in axis.values)

    @cached_property
    def switchable(self) -> tuple[str, ...]:
        """The answers that own code and can be switched on and off: the features, then the example."""
        return (*self.toggles, *self.parts)

    @cached_property
    def manifests(self) -> tuple[Manifest, ...]:
        """The guarded blocks of `_exclude`."""
        blocks = (
            entry.strip().splitlines() for entry in self.raw.get("_exclude", ()) if "\n" in entry.strip()
        )
        manifests = []
        for first, *patterns, last in blocks:
            guard = _GUARD.match(first.strip())
            if guard is None or last.strip() != "{% endif %}":
                raise ValueError(f"A block of _exclude must be one `if` around patterns: {first}")
            manifests.append(Manifest(guard["condition"], tuple(line.strip() for line in patterns)))
        return tuple(manifests)


def _is_toggle(question: dict[str, Any]) -> bool:
    derived = re.search(r"\bpreset\b", str(question.get("default"))) is not None
    return derived and bool(question["type"] == "bool")


def _axis(name: str, question: dict[str, Any]) -> Axis:
    if question["type"] == "bool":
        values = [False, True]
    else:
        choices = question["choices"]
        values = list(choices.values() if isinstance(choices, dict) else choices)
    default = question["default"]
    return Axis(name, (default, *(value for value in values if value != default)))
