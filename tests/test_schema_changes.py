"""The worked example of keel/docs/schema-changes.md: its migrations, on a real PostgreSQL with rows."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machinery.databases import empty_database, query
from tests.machinery.questions import DATABASE, PRESET
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.resources import Resources

#: The first revision of a project that is called Harbour Log.
FIRST = "harbour_log_0001"
_FENCE = re.compile(r"^```(python|sql)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REVISION = '''"""Step {number}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


{text}'''
_NOTE = """INSERT INTO notes (id, owner_id, title, body, search_text, version, created_at, updated_at)
    VALUES (gen_random_uuid(), 'guest', 'Old', 'what it says', '', 1, now(), now())"""


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose migrations are those of the page."""
    place = tmp_path_factory.mktemp("schema") / "harbour-log"
    render(template, place, {PRESET: "minimal", DATABASE: "postgresql"})
    page = (place / "keel/docs/schema-changes.md").read_text(encoding="utf-8")
    steps = [text for language, text in _FENCE.findall(page) if language == "python"]
    before = FIRST
    for number, text in enumerate(steps, 2):
        revision = f"{number:04}"
        step = _REVISION.format(number=number, revision=revision, before=before, text=text)
        (place / "migrations" / "versions" / f"{revision}_step.py").write_text(step, encoding="utf-8")
        before = revision
    models = place / "app/examples/notes/models.py"
    code = models.read_text(encoding="utf-8")
    assert "body: Mapped[str] = mapped_column(" in code
    # What the page's last release has: the attribute of old on the new column.
    code = code.replace("body: Mapped[str] = mapped_column(", 'body: Mapped[str] = mapped_column("text", ')
    models.write_text(code, encoding="utf-8")
    return place


@pytest.fixture
def database(server: str, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    with empty_database("postgresql", server, tmp_path) as url:
        yield url


def run(resources: Resources, project: Path, url: str, *arguments: str) -> str:
    """Run a module of the project's; what it printed."""
    environment = {
        "DATABASE_URL": url,
        "TEST_DATABASE_URL": url,
        "PATH": str(resources.python.parent),
        "ENV_FILE": "",
    }
    command = [resources.python, "-m", *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def test_the_example_takes_no_long_locks(resources: Resources, project: Path, database: str) -> None:
    """The project's own linter finds nothing in the page's migrations."""
    assert len(list((project / "migrations" / "versions").glob("*.py"))) == 7
    said = run(resources, project, database, "pytest", "-q", "keel/tests/postgresql/test_locks.py")
    assert "failed" not in said


def test_the_example_works(resources: Resources, project: Path, database: str) -> None:
    """The values end up only in the new column, and every step can be reverted."""
    page = (project / "keel/docs/schema-changes.md").read_text(encoding="utf-8")
    (backfill,) = [text for language, text in _FENCE.findall(page) if language == "sql"]
    run(resources, project, database, "app", "migrate", FIRST)
    query(database, _NOTE)
    run(resources, project, database, "app", "migrate", "0002")
    query(database, backfill)
    run(resources, project, database, "app", "migrate")

    assert query(database, "SELECT text FROM notes") == [("what it says",)]
    columns = "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = 'notes'"
    assert ("text", "NO") in query(database, columns)
    assert "body" not in dict(query(database, columns))

    run(resources, project, database, "alembic", "downgrade", FIRST)
    assert query(database, "SELECT body FROM notes") == [("what it says",)]
