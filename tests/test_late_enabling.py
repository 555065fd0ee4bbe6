"""The promise: a feature is switched on in a project that its owners have changed, without a conflict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery import owner
from tests.machinery.beacon import NAME, add_beacon
from tests.machinery.checkout import checkout, release
from tests.machinery.databases import empty_database, query
from tests.machinery.enabling import (
    conflicts,
    differences,
    follow_up,
    fresh_with_edits,
    lived_in,
    update,
)
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.schemas import schema
from tests.machinery.serving import Isolated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.examination import Bench

DATABASES = Questions.load(ROOT / "copier.yml").databases.values


@pytest.fixture(scope="module")
def repository(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with one more feature, released."""
    place = checkout(template, tmp_path_factory.mktemp("template-with-beacon") / "keel", tag="v0.9.0")
    add_beacon(place)
    release(place, "v1.0.0")
    return place


@pytest.fixture
def urls(bench: Bench, tmp_path: Path, database: str) -> Iterator[tuple[str, str]]:
    """Two empty databases: the project's, and one for a fresh copy."""
    with (
        empty_database(database, bench.server, tmp_path) as first,
        empty_database(database, bench.server, tmp_path) as second,
    ):
        yield first, second


@pytest.mark.parametrize("database", DATABASES)
def test_a_feature_is_switched_on_late(
    bench: Bench,
    repository: Path,
    tmp_path: Path,
    urls: tuple[str, str],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No conflict, edits and rows kept, all tests pass, and the tree is a fresh copy's plus the edits."""
    if database == "postgresql" and bench.server:
        monkeypatch.setenv("TEST_DATABASE_URL", bench.server)
    without, with_it = {DATABASE: database, NAME: False}, {DATABASE: database, NAME: True}
    isolated = lived_in(repository, tmp_path / "project", without, urls[0])
    before = query(urls[0], "SELECT count(*) FROM notes")
    assert before != [(0,)]

    update(isolated, {NAME: True})

    assert conflicts(isolated.project) == []
    assert owner.survived(isolated.project) == []
    fresh = fresh_with_edits(repository, tmp_path / "fresh" / "project", with_it)
    assert differences(isolated.project, fresh) == []
    follow_up(isolated)
    assert query(urls[0], "SELECT count(*) FROM notes") == before
    assert owner.survived(isolated.project) == []
    first = render(repository, tmp_path / "first", with_it)
    assert schema(urls[0]) == schema_of_first_migration(first, isolated, urls[1])


def schema_of_first_migration(project: Path, isolated: Isolated, url: str) -> list[tuple[Any, ...]]:
    """The schema that a fresh copy begins with."""
    environment = {"DATABASE_URL": url, "UV_PROJECT_ENVIRONMENT": str(isolated.project / ".venv")}
    Isolated(project, environment).must("run", "--no-sync", "python", "-m", "app", "migrate")
    return schema(url)
