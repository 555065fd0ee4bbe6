"""Everything that Keel adds is on the list of reserved names."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources

_SCRIPT = """
import json
from fastapi.routing import iter_route_contexts
from app.main import create_app
from keel.db.models import load_models
from keel.ops import cli
app = create_app()
commands = cli.build(create_app, "app")
print(json.dumps({
    "Tables": sorted(load_models("keel", "app").tables),
    "Routes": sorted({route.path for route in iter_route_contexts(app.routes) if route.path}),
    "Commands": [
        *(each.name or each.callback.__name__ for each in commands.registered_commands),
        *(each.name for each in commands.registered_groups),
    ],
}))
"""
_ROW = re.compile(r"^\| (`.+?) \| .+ \|$", re.MULTILINE)


@pytest.mark.parametrize("answers", extremes(Questions.load(ROOT / "copier.yml")), ids=lambda item: item.id)
def test_everything_is_reserved(
    resources: Resources, template: Path, tmp_path: Path, answers: Combination
) -> None:
    """Tables, routes and commands of the smallest and the largest projects match their page."""
    project = render(template, tmp_path / "project", answers.answers)
    page = (project / "keel" / "docs" / "reserved-names.md").read_text(encoding="utf-8")
    environment = {"PATH": os.defpath, "PYTHONPATH": str(project), "ENV_FILE": "", "ENVIRONMENT": "test"}
    result = subprocess.run(
        [resources.python, "-c", _SCRIPT],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert set(found) == set(re.findall(r"^## (.+)$", page, re.MULTILINE))
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        reserved = [name for row in _ROW.findall(text) for name in re.findall(r"`([^`]+)`", row)]
        unlisted = [
            name
            for name in found[title]
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in reserved)
        ]
        assert unlisted == [], f"{title}: list them in template/keel/docs/reserved-names.md"
