"""`python -m app new` writes the guide's book, and valid code for any fields, options and answers."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery.databases import empty_database
from tests.machinery.examination import program, suite_environment
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

_BOOK = ROOT / "tests" / "data" / "book"
_GUIDE = ROOT / "template" / "keel" / "docs" / "adding-a-resource.md"
#: Every type with and without a value, every option, references of all kinds, and names that the code has itself.
_GRID = """
author name:str:unique "bio:text?"
review stars:int words:text "read_at:datetime?" "author:ref(authors)" --nested-under books
country "code:str(2,2):unique" population:int "area:decimal(15,0)?" --shared
city "country:ref(countries)?" founded:date "ratio:decimal(4,3)" --shared --read-only
event_log payload:json uid:uuid:unique seen:bool level:int:index at:datetime model:str:index --read-only
comment words:text "parent:ref(comments)?" --nested-under countries
client "website:str(2000)" flag:bool "author:ref(authors):unique" "kind:enum(a,b-c)?" data:json "answer:int:unique?"
"""
_RENDERINGS: tuple[dict[str, Any], ...] = (
    {"preset": "minimal", DATABASE: "sqlite"},
    {"preset": "minimal", DATABASE: "postgresql"},
    {"preset": "everything", DATABASE: "postgresql"},
)
_IN_USE = '''"""Authors of reviews stay."""

from httpx2 import AsyncClient

from keel.db.database import Database
from tests.reviews.test_router import create
from tests.reviews.test_router import url as url


async def test_in_use(client: AsyncClient, database: Database, url: str) -> None:
    """What is referred to is not deleted."""
    review = await create(client, database, url, 1)

    answer = await client.delete(f"/api/v1/authors/{review['author_id']}")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:problem:in-use"
'''


@pytest.mark.parametrize("answers", _RENDERINGS, ids=lambda answers: "-".join(answers.values()))
def test_generated_code_is_sound(
    resources: Resources, warm: WarmProcess, template: Path, tmp_path: Path, answers: dict[str, Any]
) -> None:
    """The book is the guide's; all code is clean, needs no further migration, and passes its own tests."""
    project = render(template, tmp_path / "project", answers)
    database = str(answers[DATABASE])
    command = next(
        line for line in _GUIDE.read_text(encoding="utf-8").splitlines() if " app new book " in line
    )
    with empty_database(database, resources.server, tmp_path) as url:
        environment = {
            "DATABASE_URL": url,
            "ENV_FILE": "",
            "PATH": f"{resources.python.parent}:{os.defpath}",
            **suite_environment(resources, database),
        }

        def run(*words: str) -> str:
            outcome = warm.run(*words, directory=project, environment=environment)
            assert outcome.status == 0, f"{shlex.join(words)}:\n{outcome.tail()}"
            return outcome.output

        run("app", *shlex.split(command)[5:])
        files = {path.relative_to(_BOOK): path.read_text(encoding="utf-8") for path in _BOOK.rglob("*.py")}
        assert files == {name: (project / name).read_text(encoding="utf-8") for name in files}
        for line in _GRID.strip().splitlines():
            run("app", "new", *shlex.split(line), "--no-migrate")
        run("alembic", "revision", "--autogenerate", "--message", "the rest")
        run("alembic", "upgrade", "head")
        run("alembic", "check")
        run("importlinter.cli:lint_imports_command", "--no-cache")
        assert program(project, resources, "ruff", "format", "--check", "--no-cache", "app", "tests") == []
        assert program(project, resources, "ruff", "check", "--quiet", "--no-cache") == []
        assert program(project, resources, "ty", "check", "--quiet", "--python", str(resources.python)) == []
        (project / "tests/reviews/test_in_use.py").write_text(_IN_USE, encoding="utf-8")
        tests = [path.relative_to(project).as_posix() for path in (project / "tests").glob("*/test_*.py")]
        run("pytest:console_main", "-q", "--assert=plain", "-p", "no:cacheprovider", *sorted(tests))
