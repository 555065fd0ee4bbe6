"""Another provider, as the page on language models says it: OpenAI's client, added to a project, against its protocols.

It is a dependency of no project, nor of these tests: the page's own command adds it to the project's environment.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.machinery.rendering import ROOT, render
from tests.machinery.serving import Isolated
from tests.machinery.shell import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources

SUITE = ROOT / "tests" / "data" / "openai" / "test_openai.py"


def test_another_provider(resources: Resources, tmp_path: Path) -> None:
    """The page's command adds the client; then what holds for Ollama's wire holds for OpenAI's."""
    project = render(resources.template, tmp_path / "project", {"preset": "minimal", "llm": True})
    page = (project / "keel" / "docs" / "features" / "llm.md").read_text(encoding="utf-8")
    (command,) = blocks(page.partition("### Another provider")[2].partition("\n### ")[0])
    program, *arguments = command.split()
    assert program == "uv"
    isolated = Isolated(project)
    isolated.must(*arguments, "--quiet")
    shutil.copy(SUITE, project / "keel" / "tests" / "llm")

    isolated.must("run", "ruff", "check", "keel/tests/llm")
    isolated.must("run", "ruff", "format", "--check", "keel/tests/llm")
    isolated.must("run", "ty", "check", "keel/tests/llm")
    isolated.must("run", "pytest", "-q", "keel/tests/llm/test_openai.py")
