"""The check for dead code, tested on dead code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.reachability import unreached
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions


@pytest.fixture
def smallest(questions: Questions, template: Path, tmp_path: Path) -> Path:
    """The smallest project."""
    return render(template, tmp_path / "project", extremes(questions)[0].answers)


def _added(project: Path, name: str, code: str) -> set[str]:
    """What is not reached any more after code was appended to a file."""
    before = set(unreached(project))
    path = project / name
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + code, encoding="utf-8")
    new = set(unreached(project)) - before
    return {line.split(": ")[1].partition(" is not")[0] for line in new}


_CIRCLE = """

class Pulse:
    def get(self) -> int:
        return 1


pulse = Pulse()


@dataclass
class Beat:
    pulse: Pulse
"""


@pytest.mark.parametrize(
    ("name", "code", "dead"),
    [
        ("keel/clock.py", "\n\ndef never() -> None:\n    pass\n", {"keel.clock.never"}),
        ("keel/clock.py", "\n\ndef forever() -> None:\n    forever()\n", {"keel.clock.forever"}),
        ("keel/web/errors.py", "\n\nclass Teapot(AppError):\n    pass\n", {"keel.web.errors.Teapot"}),
        ("keel/settings.py", "\n    spoons: int = 3\n", {"keel.settings.CoreSettings.spoons"}),
        (
            "keel/web/health.py",
            _CIRCLE,
            {"keel.web.health.Pulse", "keel.web.health.pulse", "keel.web.health.Beat"},
        ),
    ],
    ids=["function", "calls itself", "class", "setting", "names only each other"],
)
def test_dead_code_is_found(smallest: Path, name: str, code: str, dead: set[str]) -> None:
    """A definition without live references is reported."""
    assert _added(smallest, name, code) == dead


_REGISTRY = """

class Spoon:
    pass


class Spoons:
    def __init__(self) -> None:
        self._spoons: list[Spoon] = []

    def register(self, spoon: Spoon) -> None:
        self._spoons.append(spoon)

    def get(self) -> list[Spoon]:
        return self._spoons


@dataclass
class Drawer:
    spoons: Spoons


drawer = Drawer(Spoons())
drawer.spoons.register(Spoon())
print(drawer)
"""


def test_a_registry_that_nothing_reads_is_dead(smallest: Path) -> None:
    """Registering keeps neither registry nor field alive; a called reader keeps both."""
    module = "keel.web.health"
    dead = {f"{module}.{name}" for name in ("Spoons.register", "Spoons.get", "Drawer.spoons")}
    assert _added(smallest, "keel/web/health.py", _REGISTRY) == dead
    path = smallest / "keel" / "web" / "health.py"
    path.write_text(path.read_text(encoding="utf-8") + "print(drawer.spoons.get())\n", encoding="utf-8")
    assert [line for line in unreached(smallest) if "Spoon" in line or "Drawer" in line] == []
