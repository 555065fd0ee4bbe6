"""The sandbox for updates of projects: their databases, their commands, and fresh copies to compare with."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tests.machinery import imports, owner_edits
from tests.machinery.checkout import commit
from tests.machinery.databases import copied_database, empty_database
from tests.machinery.enabling import (
    conflicts,
    differences,
    follow,
    hurry,
    left_to_combinations,
    lived_in,
    rows,
    update,
)
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.sample_rows import tables
from tests.machinery.schemas import schema
from tests.machinery.serving import Isolated
from tests.machinery.update_cases import deviating
from tests.machinery.warm_commands import Warm

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess


@dataclass
class Copy:
    """A copy with the owner's edits and rows: updates start from a clone of it, and are compared with it."""

    isolated: Isolated
    url: str
    schema: list[Any]
    #: Whether the owner has squashed the migrations into one.
    squashed: bool = False
    #: Whether all tests have passed in a project that differs only in migrations.
    passed: bool = False


@dataclass
class UpdateSandbox:
    """A clone of the template with its releases, and projects rendered from it. A context manager."""

    repository: Path
    resources: Resources
    warm: WarmProcess
    scratch: Path
    #: Whether projects get their own environments, for dependencies that the shared environment lacks.
    isolated: bool = False
    _copies: dict[str, Copy] = field(default_factory=dict)
    _databases: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        """Begin; everything is created on demand."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the databases of the copies."""
        self._databases.close()

    @contextlib.contextmanager
    def project(
        self, directory: Path, answers: Mapping[str, Any], ref: str | None = None
    ) -> Generator[Lived]:
        """Yield a project with its owner's edits and rows; its migrations are squashed into one."""
        copy = self.copy(answers, ref)
        if not copy.squashed:
            self._squash(copy, str(answers[DATABASE]))
        path = directory / "project"
        shutil.copytree(copy.isolated.project, path, ignore=shutil.ignore_patterns("__pycache__"))
        with copied_database(copy.url, self.resources.server, directory) as url:
            isolated = self.use(path, str(answers[DATABASE]))
            owner_edits.configure(isolated, url)
            yield Lived(self, isolated, url, rows(url))

    def use(self, project: Path, database: str = "sqlite") -> Isolated:
        """Return a project that runs commands in this sandbox's way."""
        server = self.resources.server
        environment = {"TEST_DATABASE_URL": server} if database == "postgresql" and server else {}
        if self.isolated:
            return Isolated(project, environment | self.resources.one_environment)
        return Warm(project, self.resources, self.warm, environment)

    def copy(self, answers: Mapping[str, Any], ref: str | None = None) -> Copy:
        """Return a copy with the owner's edits and rows, and its migrated schema; built once."""
        questions = Questions.load(self.repository / "copier.yml")
        key = repr((sorted(deviating(questions, answers).items()), ref))
        if key not in self._copies:
            kind = str(answers[DATABASE])
            place = self.scratch / f"copy-{len(self._copies)}"
            place.mkdir(parents=True)
            url = self._databases.enter_context(empty_database(kind, self.resources.server, place))
            use = partial(self.use, database=kind)
            isolated = lived_in(self.repository, place / "project", answers, use, url, ref)
            self._copies[key] = Copy(isolated, url, schema(url))
        return self._copies[key]

    def _squash(self, copy: Copy, kind: str) -> None:
        project = copy.isolated.project
        with empty_database(kind, self.resources.server, project.parent) as empty:
            owner_edits.squash(copy.isolated, empty)
        commit(project, "Everything that is ours")
        copy.squashed = True


@dataclass
class Lived:
    """A project with edits and rows, which must not be lost."""

    sandbox: UpdateSandbox
    isolated: Isolated
    url: str
    rows: dict[str, int]

    @property
    def path(self) -> Path:
        """The project's folder."""
        return self.isolated.project

    def commit(self, message: str) -> None:
        """Commit everything: Copier only updates a clean repository."""
        commit(self.path, message)

    def update(self, answers: Mapping[str, Any], ref: str | None = None) -> list[list[str]]:
        """Update, assert that nothing conflicts and every edit is there, and return the message's commands."""
        before = owner_edits.has_example(self.path)
        commands = update(self.isolated, answers, ref)
        assert conflicts(self.path) == []
        assert owner_edits.survived(self.path, example=before and owner_edits.has_example(self.path)) == []
        return commands

    def briefly(self, commands: list[list[str]]) -> None:
        """Follow a message only up to the commit, before another update."""
        hurry(self.isolated, commands)

    def leftovers(self, answers: Mapping[str, Any]) -> set[str]:
        """Return the tables that a fresh copy would not have."""
        return tables(self.url) - {str(row[0]) for row in self.sandbox.copy(answers).schema}

    def holds(
        self, answers: Mapping[str, Any], commands: list[list[str]], leftovers: Collection[str] = ()
    ) -> str:
        """Assert that it equals a fresh copy with the edits, and works after following the message.

        `leftovers` are additional tables in the database. Return the output of the commands.
        """
        fresh = self.sandbox.copy(answers)
        assert differences(self.path, fresh.isolated.project) == []
        reuse = self.sandbox.resources.reuse
        left_out = left_to_combinations(self.path) if reuse else ()
        printed = follow(self.isolated, commands, passed=fresh.passed and reuse, left_out=left_out)
        fresh.passed = fresh.passed or any("pytest" in command for command in commands)
        kept = {table: count for table, count in self.rows.items() if table not in leftovers}
        assert rows(self.url).items() >= kept.items()
        assert [row for row in schema(self.url) if row[0] not in leftovers] == fresh.schema
        assert owner_edits.survived(self.path) == []
        if not self.sandbox.isolated:
            assert list(imports.undeclared(self.path, self.sandbox.resources.python)) == []
        return printed
