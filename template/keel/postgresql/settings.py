"""Settings of the database."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from keel import about
from keel.postgresql.urls import parse
from keel.settings import DevDefault, Environment, Settings


def _asyncpg(value: SecretStr) -> SecretStr:
    """Accept the URLs that hosting services hand out."""
    return SecretStr(parse(value.get_secret_value()).render_as_string(hide_password=False))


class PostgresqlSettings(Settings):
    """Where the database is and how it is used."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: Annotated[SecretStr, AfterValidator(_asyncpg), DevDefault] = SecretStr(
        f"postgresql+asyncpg://postgres:postgres@localhost:5432/{about.SLUG}"
    )

    read_url: Annotated[SecretStr, AfterValidator(_asyncpg)] | None = None
    """Where reads go instead, such as a replica."""

    pooler: bool = False
    """Whether a pooler such as PgBouncer stands in between, which gives each transaction any connection to the server."""

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
