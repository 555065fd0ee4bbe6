"""Settings of the database."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from keel import about
from keel.postgresql.urls import parse
from keel.settings import DevDefault, Environment, Settings


def _asyncpg(value: SecretStr) -> SecretStr:
    """Accept URLs in the form of hosting services."""
    return SecretStr(parse(value.get_secret_value()).render_as_string(hide_password=False))


class PostgresqlSettings(Settings):
    """The database's URL, pool and timeouts."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: Annotated[SecretStr, AfterValidator(_asyncpg), DevDefault] = SecretStr(
        f"postgresql+asyncpg://postgres:postgres@localhost:5432/{about.SLUG}"
    )

    read_url: Annotated[SecretStr, AfterValidator(_asyncpg)] | None = None
    """The database for reads, such as a replica; by default the same."""

    pooler: bool = False
    """Whether there is a pooler such as PgBouncer in between, which runs each transaction on any server connection."""

    pool_size: Annotated[int, Field(ge=1)] = 10
    """Connections of one process for writing, and the same number for reading."""

    pool_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that a request waits for a connection."""

    connect_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Timeout of opening a connection, in seconds."""

    statement_timeout: Annotated[float, Field(gt=0)] = 30.0
    """Timeout of a statement, in seconds."""

    lock_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that a migration waits for a lock on a table, while other statements on it queue behind."""

    migrate_at_start: bool | None = None
    """Whether starting the application migrates the database; by default only in local."""

    @property
    def migrates_at_start(self) -> bool:
        """Whether starting the application migrates the database."""
        return self.environment is Environment.LOCAL if self.migrate_at_start is None else self.migrate_at_start
