"""Settings of the database."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from keel.settings import DevDefault, Environment, Settings

EXAMPLE = "postgresql+asyncpg://user:password@host/database"


def _asyncpg(value: SecretStr) -> SecretStr:
    """Accept the URLs that hosting services hand out: `postgres://` and libpq's `sslmode`."""
    try:
        url = make_url(value.get_secret_value().replace("postgres://", "postgresql://", 1))
    except ArgumentError:
        raise ValueError(f"this is not a URL; write {EXAMPLE}") from None
    if url.get_backend_name() != "postgresql":
        raise ValueError(f"this project was made for PostgreSQL; write {EXAMPLE}")
    if sslmode := url.query.get("sslmode"):
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": sslmode})
    return SecretStr(url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False))


class PostgresqlSettings(Settings):
    """Where the database is and how it is used."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: Annotated[SecretStr, AfterValidator(_asyncpg), DevDefault] = SecretStr(
        "postgresql+asyncpg://postgres:postgres@localhost:5432/app"
    )

    read_url: Annotated[SecretStr, AfterValidator(_asyncpg)] | None = None
    """Where reads go instead, such as a replica."""

    pool_size: Annotated[int, Field(ge=1)] = 10
    """Connections of one process for writing, and as many for reading."""

    pool_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that a request waits for a connection."""

    connect_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that opening a connection may take."""

    statement_timeout: Annotated[float, Field(gt=0)] = 30.0
    """Seconds that a statement may take."""

    lock_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that a migration waits for a lock on a table: other statements on the table queue behind it."""

    migrate_at_start: bool | None = None
    """Whether starting the application migrates the database; unless set, only in local."""

    @property
    def migrates_at_start(self) -> bool:
        """Whether starting the application migrates the database."""
        return self.environment is Environment.LOCAL if self.migrate_at_start is None else self.migrate_at_start
