"""Answers that were changed by hand: Copier takes them for those that the project was made with, and changes nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

from keel.ops.upgrades import ANSWERS, PROJECT

_ANSWER = re.compile(r"^(\w+): (true|false)$", re.MULTILINE)
_DATABASE = re.compile(r"^database: (\w+)$", re.MULTILINE)
_PLACES = {"example": Path("keel", "docs", "features", "notes.md"), "kubernetes": Path("deploy", "k8s", "base")}
"""What an answer adds; else it is the package of that name."""


def changed_by_hand(project: Path = PROJECT) -> Iterator[str]:
    """Yield a sentence for each recorded answer that is not what the project has."""
    file = project / ANSWERS
    if not file.is_file():  # such as in the image
        return
    text = file.read_text(encoding="utf-8")
    for name, value in _ANSWER.findall(text):
        place = _PLACES.get(name, Path("keel", name, "__init__.py"))
        if (project / place).exists() != (value == "true"):
            before = "false" if value == "true" else "true"
            yield _sentence(f"{name}: {value}", place.as_posix(), f"{name}: {before}", f"{name}={value}")
    for value in _DATABASE.findall(text):
        if not (project / f"keel/{value}").is_dir():
            yield _sentence(f"database: {value}", f"keel/{value}", "what it was", f"database={value}")


def _sentence(answer: str, place: str, before: str, data: str) -> str:
    return (
        f"{ANSWERS}: it says {answer}, and {place} says otherwise. Written by hand an answer does nothing: write {before} "
        f"again, commit, and run `copier update --defaults --data {data}`"
    )
