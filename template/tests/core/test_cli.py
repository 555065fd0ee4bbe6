"""The operator's command line."""

import runpy
import sys

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from typer.testing import CliRunner

from app.core import cli
from app.core.settings import Settings
from app.main import PACKAGES, create_app

runner = CliRunner()


class WithSecret(Settings):
    """Settings with something to hide."""

    key: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def known_environment(app: FastAPI) -> None:
    """Work on the test database, and leave it clean."""


def run(*arguments: str) -> str:
    """Run a command and return what it prints."""
    result = runner.invoke(cli.build(create_app, PACKAGES), arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_settings_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is there, and no password."""
    known = [*cli.known_settings(PACKAGES), WithSecret]
    monkeypatch.setattr(cli, "known_settings", lambda _: known)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KEY", "s3cret")

    output = run("settings")

    for settings in known:
        for field in settings.model_fields:
            assert settings.variable(field) in output
    assert "s3cret" not in output


def test_migrate() -> None:
    """Migrating a database that is up to date changes nothing."""
    run("migrate")


def test_seed() -> None:
    """Demonstration data is added by every feature that has some, and progress is shown."""
    assert "notes" in run("seed", "--count", "1")


def test_seed_refuses_other_peoples_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fills a production database with demonstration data by mistake."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("ALLOWED_HOSTS", "*.example.com")

    result = runner.invoke(cli.build(create_app, PACKAGES), ["seed"])

    assert result.exit_code == 2
    assert "--force" in result.output


def test_python_m_app(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The package can be run."""
    monkeypatch.setattr(sys, "argv", ["app", "--help"])

    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("app", run_name="__main__")

    assert stopped.value.code == 0
    assert "migrate" in capsys.readouterr().out
