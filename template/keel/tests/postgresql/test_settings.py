"""PostgreSQL URLs, as provided by hosting services."""

import ssl

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from typer.testing import CliRunner

from app.main import create_app
from keel.ops import cli
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings
from keel.postgresql.urls import parse, split


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@host/db", "postgresql+asyncpg://u:p@host/db"),
        ("postgresql://u:p@host/db", "postgresql+asyncpg://u:p@host/db"),
        ("postgresql://host/db?sslmode=require", "postgresql+asyncpg://host/db?sslmode=require"),
        ("postgresql+asyncpg://host/db?ssl=true", "postgresql+asyncpg://host/db?sslmode=require"),
        ("postgresql://u:p,w@a,b:6432/db", "postgresql+asyncpg://u:p%2Cw@/db?host=a%3A5432&host=b%3A6432"),
    ],
)
def test_urls(url: str, expected: str) -> None:
    """Any scheme uses asyncpg; several hosts and asyncpg's TLS options are supported."""
    assert PostgresqlSettings(url=SecretStr(url)).url.get_secret_value() == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sslmode=verify-full&sslrootcert=/ca.pem", {"dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fca.pem"}),
        ("connect_timeout=10&application_name=shop", {"timeout": 10, "server_settings": {"application_name": "shop"}}),
        ("options=endpoint%3Dep-x&gssencmode=disable", {"server_settings": {"options": "endpoint=ep-x"}}),
        ("fallback_application_name=shop", {"server_settings": {"application_name": "shop"}}),
        (
            "sslmode=require&channel_binding=prefer&connect_timeout=0",
            {"dsn": "postgresql://?sslmode=require", "timeout": None},
        ),
        ("sslmode=verify-full&channel_binding=require", {"dsn": "postgresql://?sslmode=verify-full"}),
        ("target_session_attrs=read-write", {"dsn": "postgresql://?target_session_attrs=primary"}),
    ],
)
def test_parameters(query: str, expected: dict[str, object]) -> None:
    """Parameters of libpq are translated for asyncpg, and redundant ones are dropped."""
    url, arguments = split(parse(f"postgresql://u:p@host/db?{query}"))

    assert url.render_as_string(hide_password=False) == "postgresql+asyncpg://u:p@host/db"
    assert arguments == expected


def test_certificates_of_the_system() -> None:
    """`sslrootcert=system` verifies the server with the system's CAs."""
    _, arguments = split(parse("postgresql://host/db?sslmode=verify-full&sslrootcert=system"))

    assert arguments["ssl"].check_hostname
    assert arguments["ssl"].verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("sslmode=require&channel_binding=require", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("keepalives_idle=30", "keepalives_idle"),
        ("pgbouncer=true", "DATABASE_POOLER=true"),
        ("connection_limit=1", "DATABASE_POOL_SIZE"),
        ("connect_timeout=s3cret", "connect_timeout"),
        ("sslmode=s3cret", "sslmode must be one of"),
        ("sslmode=require&sslrootcert=system", "verify-full"),
        ("client_encoding=latin1", "client_encoding"),
        ("application_name=a&application_name=b", "application_name stands in the URL twice"),
    ],
)
def test_unsupported_parameters(query: str, named: str) -> None:
    """Startup fails and says what to use instead, rather than ignore a guarantee."""
    with pytest.raises(ValueError, match=named) as refused:
        PostgresqlSettings(url=SecretStr(f"postgresql://u:s3cret@host/db?{query}"))

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite:///app.db", "host/db", "postgresql://u:p@host:s3cret/db"])
def test_other_urls_are_refused(url: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=r"postgresql\+asyncpg://user:password@host/database") as refused:
        PostgresqlSettings(url=SecretStr(url))

    assert "s3cret" not in str(refused.value)


async def test_a_hosted_url_connects(database_url: str) -> None:
    """Reads and writes work with a hosting service's URL, and the server gets its options."""
    told = "sslmode=prefer&connect_timeout=60&application_name=shop&options=-c%20work_mem%3D8MB&target_session_attrs=read-write"
    url = make_url(database_url).set(drivername="postgres").update_query_string(told)
    database = open_database(PostgresqlSettings(url=SecretStr(url.render_as_string(hide_password=False))))
    statement = text("SELECT current_setting('application_name'), current_setting('work_mem')")
    try:
        assert tuple(await database.read.first(statement) or ()) == ("shop", "8MB")
        async with database.transaction() as session:
            assert tuple(await session.first(statement) or ()) == ("shop", "8MB")
    finally:
        await database.close()


def test_password_is_not_shown(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator sees that a URL is set, but not its password."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:s3cret@host/db")

    result = CliRunner().invoke(cli.build(create_app, "app"), ["settings"])

    assert "DATABASE_URL" in result.output
    assert "s3cret" not in result.output
