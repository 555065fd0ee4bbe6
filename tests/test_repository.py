"""The template repository follows the rules of its rendered projects."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.machinery.examination import TYPES, program
from tests.machinery.rendering import ROOT, git, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.machinery.questions import Questions
    from tests.machinery.resources import Resources

_BIN = Path(sys.executable).parent
#: Words of the odd voice; an address or a user of the system may be called so.
_ODD = re.compile(r"\b(?:some|no|every|any)body\b(?![@\"])|\bwhoever\b", re.IGNORECASE)


@pytest.mark.parametrize(
    "command",
    [("ruff", "check"), ("ruff", "format", "--check"), ("ty", "check")],
    ids=" ".join,
)
def test_the_tests_are_clean(command: Sequence[str]) -> None:
    """These tests pass the linter, the formatter and strict types."""
    result = subprocess.run(
        [_BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"


@pytest.fixture(scope="module")
def in_place(resources: Resources, questions: Questions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """template/ as it is, with the settings of the tools added that a project with everything has."""
    place = tmp_path_factory.mktemp("in-place") / "template"
    shutil.copytree(resources.template / "template", place)
    everything = dict.fromkeys(questions.toggles, True)
    return render(resources.template, place, everything, only=("pyproject.toml",))


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check")], ids=" ".join)
def test_the_template_lints_in_place(resources: Resources, in_place: Path, command: Sequence[str]) -> None:
    """template/ is linted and formatted in an editor as it will be in a project."""
    first_party = (
        "lint.isort.known-first-party = ['app', 'keel', 'tests']"  # ruff looks for files, some are rendered
    )
    assert program(in_place, resources, *command, "--no-cache", "--config", first_party) == []


def test_the_template_has_types_in_place(resources: Resources, in_place: Path) -> None:
    """template/ passes strict type checks; only rendered modules can't be found there."""
    rendered = [path.relative_to(in_place) for path in in_place.rglob("*.py.jinja")]
    modules = [".".join(path.with_suffix("").with_suffix("").parts) for path in rendered]
    allowed = f"analysis.allowed-unresolved-imports = {json.dumps(modules)}"
    assert (
        program(in_place, resources, "ty", "check", "--config", allowed, *TYPES, str(resources.python)) == []
    )


def test_ci_runs_the_documented_command() -> None:
    """CI runs what the README tells a developer to run."""
    command = "python3 -m uv run pytest"
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"exec {command}\n" in script
    assert "set -euo pipefail\n" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    readme = ROOT / "README.md"
    assert command in readme.read_text(encoding="utf-8")


def test_hooks_need_no_network() -> None:
    """Every hook is local."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}


def test_no_lock_file_is_committed() -> None:
    """A lock file records the index that it was created with."""
    assert git(ROOT, "ls-files", "*uv.lock") == ""


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("github-discussion", "DISCUSSION_TEMPLATE/*.yml"),
        ("github-workflows", "workflows/*.yml"),
    ],
)
def test_forms_are_valid(schema: str, pattern: str) -> None:
    """GitHub ignores an invalid form; the schemas come with the tool."""
    files = sorted((ROOT / ".github").glob(pattern))
    assert files
    command = [_BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"


def test_prose_names_who_is_meant() -> None:
    """Pages, comments and docstrings name the caller, another user or no client, never an indefinite pronoun."""
    found = []
    for name in git(ROOT, "ls-files", "-z").split("\0"):
        path = ROOT / name
        if path.suffix in {
            ".md",
            ".py",
            ".jinja",
            ".yml",
            ".yaml",
            ".toml",
            ".proto",
            ".js",
        } and path != Path(__file__):
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if _ODD.search(line)]
    assert found == []


def test_the_readme_shows_a_real_route() -> None:
    """The README's route is in the example, word for word."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (route,) = re.findall(r"^```python\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert route in (ROOT / "template/app/examples/notes/router.py").read_text(encoding="utf-8")
