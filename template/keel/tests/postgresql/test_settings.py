"""URLs of PostgreSQL, as hosting services hand them out."""

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app.main import create_app
from keel.ops import cli
from keel.postgresql.settings import PostgresqlSettings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@host/db", "postgresql+asyncpg://u:p@host/db"),
        ("postgresql://u:p@host/db", "postgresql+asyncpg://u:p@host/db"),
        ("postgresql://host/db?sslmode=require", "postgresql+asyncpg://host/db?ssl=require"),
    ],
)
def test_urls(url: str, expected: str) -> None:
    """Whatever the scheme, asyncpg is used, and libpq's way to ask for TLS is understood."""
    assert PostgresqlSettings(url=SecretStr(url)).url.get_secret_value() == expected


@pytest.mark.parametrize("url", ["sqlite:///app.db", "host/db"])
def test_other_urls_are_refused(url: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=r"postgresql\+asyncpg://user:password@host/database"):
        PostgresqlSettings(url=SecretStr(url))


def test_password_is_not_shown(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator sees that a URL is set, but not its password."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:s3cret@host/db")

    result = CliRunner().invoke(cli.build(create_app, "app"), ["settings"])

    assert "DATABASE_URL" in result.output
    assert "s3cret" not in result.output
