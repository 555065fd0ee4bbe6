"""The operator's command line."""

import errno
import runpy
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import anyio.to_thread
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Column, Integer, Table, event, func, select, text
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner, Result

from keel.background.jobs import InProcessJobs
from keel.db.database import Database, Session
from keel.db.models import Base
from keel.ops import cli, settings_check
from keel.ops.upgrades import Change
from keel.packages import find_package
from keel.services import services_of
from keel.settings import Settings, SettingsError
from keel.tests.application import create_app
from keel.tests.widgets.models import Widget

runner = CliRunner()


class WithSecret(Settings):
    """Settings with a secret."""

    key: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def known_environment(app: FastAPI) -> None:
    """Work on the test database, and leave it clean."""


def run(*arguments: str) -> str:
    """Run a command and return its output."""
    result = runner.invoke(cli.build(create_app, "app"), arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_settings_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is shown, and no password."""
    known = [*settings_check.find_settings(), WithSecret]
    monkeypatch.setattr(settings_check, "find_settings", lambda: known)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KEY", "s3cret")

    output = run("settings")

    for settings in known:
        for field in settings.model_fields:
            assert settings.variable(field) in output
    assert "s3cret" not in output


@pytest.mark.parametrize(("problems", "status"), [([], 0), (["OLD is now called NEW"], 1)])
def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch, problems: list[str], status: int) -> None:
    """Problems are printed, and the exit status reports them to a pipeline."""
    allowed: list[str] = []
    monkeypatch.setattr(settings_check, "problems", lambda allow: allowed.extend(allow) or problems)

    result = runner.invoke(cli.build(create_app, "app"), ["settings", "--check", "--allow", "A", "--allow", "B"])

    assert result.exit_code == status
    assert allowed == ["A", "B"]
    assert "\n".join(problems) in result.output


def test_upgrades(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change since the last commit, or since a given version, is shown with what to do."""
    change = Change(version="v1.2.0", what="Colder.", do="Dress.", renamed={"OLD": "NEW"}, removed=("GONE",))
    monkeypatch.setattr(cli, "last_version", lambda: "v1.1.0")
    monkeypatch.setattr(cli, "changes_since", lambda version: [("core", change)] if version == "v1.1.0" else [])

    output = run("upgrades")

    for part in ("Since v1.1.0", "v1.2.0 (core)", "Colder.", "Dress.", "OLD is now called NEW", "GONE is no longer"):
        assert part in output
    assert run("upgrades", "--since", "v1.2.0") == "Nothing noticeable has changed since v1.2.0.\n"


def test_unusable_settings_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the application cannot be built, every command says why, and what else is wrong."""
    monkeypatch.setattr(sys, "argv", ["app", "settings", "--check"])
    monkeypatch.setattr(settings_check, "problems", list)
    monkeypatch.setitem(sys.modules, "app.main", Unbuildable("app.main"))

    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("app", run_name="__main__")

    assert stopped.value.code == "The settings are not valid:\n  KEY: set it"


class Unbuildable(ModuleType):
    """A module whose import fails, because the settings are wrong."""

    def __getattr__(self, name: str) -> object:
        """Fail as `create_app` does."""
        raise SettingsError("The settings are not valid:\n  KEY: set it")


def test_migrate() -> None:
    """Migrating an up-to-date database changes nothing."""
    run("migrate")


async def test_migrate_reports_missing_tables(database: Database, unmade: str) -> None:
    """The database may be another project's, or a migration may not have been written yet."""
    assert f"no table {unmade}: " in await anyio.to_thread.run_sync(run, "migrate")


async def test_migrate_another_projects_database(database: Database) -> None:
    """An unknown revision is explained, and nothing is changed."""
    async with database.writer.begin() as connection:
        (ours,) = (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).one()
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'another_0001'")
    try:
        result = await anyio.to_thread.run_sync(runner.invoke, cli.build(create_app, "app"), ["migrate"])
    finally:
        async with database.writer.begin() as connection:
            restore = text("UPDATE alembic_version SET version_num = :ours")
            await connection.execute(restore, {"ours": ours})

    assert result.exit_code == 1
    assert "another_0001" in result.output
    assert "Check DATABASE_URL" in result.output


@pytest.fixture
def unmade() -> Iterator[str]:
    """Return the name of a table that has a model, but no migration."""
    table = Table("unmade", Base.metadata, Column("id", Integer, primary_key=True))
    yield table.name
    Base.metadata.remove(table)


def create_app_without_database() -> FastAPI:
    """Create an application that cannot connect to its database."""

    def refuse(*_: Any) -> None:
        raise OperationalError("", {}, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused by a test"))

    app = create_app()
    database = services_of(app).database
    engines = (database.writer, database.reader, database.migrator())
    for engine in engines:
        event.listen(engine.sync_engine, "checkout", refuse)
    database.migrator = lambda: engines[-1]
    return app


@pytest.fixture
def only_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find only the widgets package."""
    monkeypatch.setattr(cli, "all_packages", lambda _: [find_package("keel.tests.widgets")])


@pytest.mark.parametrize("command", ["migrate", "seed"])
@pytest.mark.usefixtures("only_widgets")
def test_unreachable_database_is_explained(command: str) -> None:
    """Instead of a traceback, one line has the driver's message and where to look."""
    result = runner.invoke(cli.build(create_app_without_database, "app"), [command])

    assert result.exit_code == 1
    assert "Connection refused by a test" in result.output
    assert "DATABASE_URL" in result.output


@pytest.mark.usefixtures("only_widgets")
async def test_seed(database: Database) -> None:
    """Every package with demonstration data adds it, and progress is shown."""
    assert "widgets" in await anyio.to_thread.run_sync(run, "seed", "--count", "2")

    assert await database.read.scalar(select(func.count()).select_from(Widget)) == 2


def create_app_with_a_job() -> FastAPI:
    """Build the application with a scheduled job that adds a widget, and that outlasts a shutdown's grace period."""
    app = create_app()
    services = services_of(app)
    services.jobs = InProcessJobs(lambda: services.database, services.job_context, grace=0)

    async def add_widget(session: Session, payload: Mapping[str, Any]) -> None:
        session.add(Widget(owner_id="o", title=payload["title"]))

    services.jobs.register("widgets.add", add_widget)
    services.schedule.entries.clear()
    services.schedule.add("every morning", "widgets.add", "0 6 * * *", {"title": "fresh"})
    return app


async def test_schedule(database: Database) -> None:
    """Entries are listed, and can be run now, as by cron; the command waits for the job."""

    def run_schedule(*arguments: str) -> Result:
        return runner.invoke(cli.build(create_app_with_a_job, "app"), ["schedule", *arguments])

    listed = await anyio.to_thread.run_sync(run_schedule)
    unknown = await anyio.to_thread.run_sync(run_schedule, "every evening")
    assert await database.read.scalar(select(func.count()).select_from(Widget)) == 0
    done = await anyio.to_thread.run_sync(run_schedule, "every morning")

    assert [listed.exit_code, unknown.exit_code, done.exit_code] == [0, 2, 0], done.output
    assert "0 6 * * *" in listed.output
    assert "every morning" in unknown.output
    assert await database.read.scalar(select(Widget.title)) == "fresh"


def test_nothing_to_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without demonstration data, the command says so and succeeds."""
    monkeypatch.setattr(cli, "all_packages", lambda _: [])

    assert "nothing to seed" in run("seed")


def test_seed_is_refused_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """A production database is not filled with demonstration data by mistake."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("ALLOWED_HOSTS", "*.example.com")

    result = runner.invoke(cli.build(create_app, "app"), ["seed"])

    assert result.exit_code == 2
    assert "--force" in result.output


def test_python_m_app(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The package can be run."""
    monkeypatch.setattr(sys, "argv", ["app", "--help"])

    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("app", run_name="__main__")

    assert stopped.value.code == 0
    assert "migrate" in capsys.readouterr().out
