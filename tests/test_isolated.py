"""Projects in environments of their own, made from their own pyproject.toml: nothing is missing, and they serve.

What is missing shows in the first test that needs it, so a test of each file will do where all files are run elsewhere;
the project that is suggested runs all of its tests, as its owner does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery import selection
from tests.machinery.combinations import Combination, cover, extremes
from tests.machinery.databases import empty_database
from tests.machinery.owner_edits import has_example
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.serving import Isolated, request, sign_in
from tests.machinery.warm_imports import first_tests
from tests.test_questions import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.resources import Resources

QUESTIONS = Questions.load(ROOT / "copier.yml")
SMALLEST, *_, LARGEST = extremes(QUESTIONS)
#: No answer is given: Copier takes what the prompts suggest.
SUGGESTED = Combination("suggested", ())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The smallest, the suggested and the largest project; with `--full`, the covering set too."""
    if "answers" in metafunc.fixturenames:
        chosen = [SMALLEST, SUGGESTED, LARGEST]
        if selection.is_full(metafunc.config):
            chosen += cover(QUESTIONS, 3)
        metafunc.parametrize("answers", [item.answers for item in chosen], ids=[item.id for item in chosen])


#: uvicorn finishes its work, then ends by the signal that it was sent: 128 + 15, as uv reports it.
ENDED = (0, 143)


@pytest.fixture
def isolated(resources: Resources, tmp_path: Path, answers: dict[str, Any]) -> Iterator[Isolated]:
    """A project with an environment and a database of its own."""
    project = render(resources.template, tmp_path / "project", answers)
    database = str(recorded(project)[DATABASE])
    with empty_database(database, resources.server, tmp_path) as url:
        variables = {"DATABASE_URL": url}
        if database == "postgresql" and resources.server:
            variables["TEST_DATABASE_URL"] = resources.server
        yield Isolated(project, variables)


def test_a_project_stands_alone(isolated: Isolated, answers: dict[str, Any], resources: Resources) -> None:
    """Its own commands work in its own environment: tests, types, layers, a server that is ready, and stores a note."""
    isolated.must("sync", "--quiet")
    isolated.must("run", "ty", "check")
    isolated.must("run", "lint-imports", "--no-cache")
    whole = not answers or not resources.reuse
    isolated.must("run", "pytest", "-q", *(() if whole else first_tests(isolated.project)))
    isolated.must("run", "python", "-m", "app", "migrate")
    command = ("uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", "{port}")
    with isolated.served(*command, ENVIRONMENT="local") as (address, server):
        caller = sign_in(isolated, address)
        assert request("GET", f"{address}/readyz", headers=caller)[0] == 200
        if has_example(isolated.project):
            stores_a_note(address, caller)
        assert server.stop() in ENDED, server.log
        assert "Application shutdown complete" in server.log


def stores_a_note(address: str, caller: dict[str, str]) -> None:
    """A note that is written is listed."""
    ahoy = {"title": "Ahoy", "body": "", "tags": ["sea"]}
    status, note = request("POST", f"{address}/api/v1/notes", ahoy, caller)
    assert status == 201, note
    status, page = request("GET", f"{address}/api/v1/notes", headers=caller)
    assert (status, [item["id"] for item in page["items"]]) == (200, [note["id"]])


def test_a_fresh_copy_runs_with_nothing_configured(resources: Resources, tmp_path: Path) -> None:
    """The first command that users are told to run creates the database, and serves."""
    isolated = Isolated(render(resources.template, tmp_path / "project", {}))
    isolated.must("sync", "--quiet")
    with isolated.served("fastapi", "dev", "--no-reload", "--port", "{port}") as (address, server):
        caller = sign_in(isolated, address)
        status, note = request("POST", f"{address}/api/v1/notes", {"title": "Ahoy"}, caller)
        assert status == 201, note
        assert request("GET", f"{address}/api/v1/notes", headers=caller)[1]["items"] == [note]
        assert server.stop() in ENDED, server.log
