"""Settings of SQLite."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from keel import about
from keel.settings import DevDefault, Environment, Settings


def _sqlite_file(value: str) -> str:
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("this is not a URL; write sqlite+aiosqlite:///path/to/file.db") from None
    if url.get_backend_name() != "sqlite":
        raise ValueError("this project uses SQLite; write sqlite+aiosqlite:///path/to/file.db")
    if url.database in {None, "", ":memory:"}:
        raise ValueError("the database must be a file, since several connections use it")
    return url.set(drivername="sqlite+aiosqlite").render_as_string(hide_password=False)


class SqliteSettings(Settings):
    """The database file, its pool and timeouts."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: Annotated[str, AfterValidator(_sqlite_file), DevDefault] = "sqlite+aiosqlite:///app.db"

    busy_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that a transaction waits for the write lock."""

    readers: Annotated[int, Field(ge=1)] = 4
    """Connections for reading; each runs in its own thread."""

    migrate_at_start: bool | None = None
    """Whether starting the application migrates the database; by default only in local."""

    @property
    def absolute_url(self) -> str:
        """The URL with an absolute path: a relative one starts at the project's folder, not the working directory."""
        url = make_url(self.url)
        name = url.database or ""
        if not name.startswith("file:"):
            url = url.set(database=str(about.ROOT / name))
        return url.render_as_string(hide_password=False)

    @property
    def migrates_at_start(self) -> bool:
        """Whether starting the application migrates the database."""
        return self.environment is Environment.LOCAL if self.migrate_at_start is None else self.migrate_at_start
