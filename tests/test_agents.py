"""What a rendered project tells coding agents is true: its commands run, and what it points to is there."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.databases import empty_database
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.shell import blocks
from tests.machinery.warm_commands import Warm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

SMALLEST, *_, LARGEST = extremes(Questions.load(ROOT / "copier.yml"))
#: The first installs, the second serves until it is stopped; the last is what each combination's examination does.
ELSEWHERE = {"uv sync", "uv run fastapi dev", "uv run pytest -n auto"}


#: Where a suite takes long: its examination runs these, too.
QUICK_LOOP = {"uv run pytest tests"}


@pytest.mark.parametrize(
    ("chosen", "elsewhere"),
    [(SMALLEST, ELSEWHERE), (LARGEST, ELSEWHERE | QUICK_LOOP)],
    ids=["smallest", "largest"],
)
def test_commands_run(
    resources: Resources, warm: WarmProcess, tmp_path: Path, chosen: Combination, elsewhere: set[str]
) -> None:
    """Every command in AGENTS.md succeeds in a fresh project, except those that other tests run."""
    project = render(resources.template, tmp_path / "project", chosen.answers)
    page = (project / "AGENTS.md").read_text(encoding="utf-8")
    commands = [part for line in "".join(blocks(page)).splitlines() for part in line.split(" && ")]
    assert set(commands) > elsewhere

    with empty_database(str(chosen.answers[DATABASE]), resources.server, tmp_path) as url:
        runner = Warm(project, resources, warm, {"DATABASE_URL": url})
        for command in commands:
            if command not in elsewhere:
                result = runner.run(*shlex.split(command)[1:])
                assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"


def test_paths_exist(resources: Resources, tmp_path: Path) -> None:
    """Every link in AGENTS.md exists, in the smallest project too, and CLAUDE.md includes it."""
    for chosen in (SMALLEST, LARGEST):
        project = render(resources.template, tmp_path / chosen.id, chosen.answers)
        page = (project / "AGENTS.md").read_text(encoding="utf-8")
        targets = re.findall(r"\]\(([^)#]+)\)", page)
        assert targets
        assert [target for target in targets if not (project / target).exists()] == []
        assert (project / "CLAUDE.md").read_text(encoding="utf-8") == "@AGENTS.md\n"
