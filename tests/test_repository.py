"""The template repository holds itself to what it demands of its results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.machinery.examination import Bench, program
from tests.machinery.rendering import ROOT, git, render

if TYPE_CHECKING:
    from collections.abc import Sequence

_BIN = Path(sys.executable).parent


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


@pytest.fixture
def in_place(bench: Bench, tmp_path: Path) -> Path:
    """template/ as it is, with the rendered settings of the tools beside it."""
    project = render(bench.template, tmp_path / "rendered", {}, only=("pyproject.toml",))
    source = bench.template / "template"
    (tmp_path / "pyproject.toml").write_bytes((project / "pyproject.toml").read_bytes())
    (tmp_path / "template").symlink_to(source)
    return tmp_path


def test_the_template_lints_in_place(bench: Bench, in_place: Path) -> None:
    """What an editor shows in template/ is linted and formatted as it will be in a result."""
    source = bench.template / "template"
    config = ("--no-cache", "--config", str(in_place / "pyproject.toml"))
    assert program(source, bench, "ruff", "check", *config) == []
    assert program(source, bench, "ruff", "format", "--check", *config) == []


def test_the_template_has_types_in_place(bench: Bench, in_place: Path) -> None:
    """Strict types hold for template/ itself; only what is rendered can't be found there."""
    source = bench.template / "template"
    rendered = [path.relative_to(source) for path in source.rglob("*.py.jinja")]
    modules = [".".join(path.with_suffix("").with_suffix("").parts) for path in rendered]
    found = program(
        source,
        bench,
        *("ty", "check", "--python", str(bench.python), "--output-format", "concise", "--no-progress"),
        *("--config-file", str(_types(in_place, modules))),
    )
    assert found == []


def _types(directory: Path, rendered: Sequence[str]) -> Path:
    allowed = ", ".join(f'"{module}"' for module in rendered)
    config = directory / "ty.toml"
    config.write_text(
        f'[rules]\nall = "error"\n[analysis]\nallowed-unresolved-imports = [{allowed}]\n', encoding="utf-8"
    )
    return config


def test_the_one_command_is_the_one_that_is_documented() -> None:
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
    """A lock file records the index that it was made with."""
    assert git(ROOT, "ls-files", "*uv.lock") == ""
