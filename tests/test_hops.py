"""The number of files that one request runs through is small enough to follow."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machinery.rendering import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources

_SCRIPT = """
import asyncio, sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
from app.main import app
from httpx2 import ASGITransport, AsyncClient
from keel.testing.identity import sign_in

ROOT = str(Path.cwd())
found = set()

def profile(frame, event, _):
    name = frame.f_code.co_filename
    if event == "call" and name.startswith((f"{ROOT}/app/", f"{ROOT}/keel/")):
        found.add(name.removeprefix(f"{ROOT}/"))

async def main():
    client = AsyncClient(transport=ASGITransport(app), base_url="http://localhost")
    async with app.router.lifespan_context(app), client:
        await sign_in(client)
        for hook in (None, profile):  # what is loaded or built by the first request is no part of the others
            sys.setprofile(hook)
            answer = await client.post("/api/v1/notes", json={"title": "Ahoy", "body": "*Blue*"})
            sys.setprofile(None)
            assert answer.status_code == 201, answer.text

asyncio.run(main())
print(*sorted(found), sep="\\n")
"""


@pytest.mark.parametrize(("preset", "limit"), [("minimal", 18), ("api", 20)])
def test_one_post_runs_through_few_files(
    resources: Resources, template: Path, tmp_path: Path, preset: str, limit: int
) -> None:
    """A POST of a note, including middleware, counted with a profile hook."""
    project = render(template, tmp_path / "project", {"preset": preset})
    environment = {
        "PATH": os.defpath,
        "ENV_FILE": "",
        "ENVIRONMENT": "test",
        "LOG_LEVEL": "WARNING",
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/notes.db",
        "DATABASE_MIGRATE_AT_START": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    result = subprocess.run(
        [resources.python, "-c", _SCRIPT],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    files = result.stdout.split()
    assert "app/examples/notes/service.py" in files
    assert len(files) <= limit, files
