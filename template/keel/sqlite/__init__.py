"""SQLite: the database is one file, with one writer at a time."""

from functools import partial

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Install SQLite as the application's database."""
    from keel.db import lifecycle
    from keel.services import services_of
    from keel.sqlite.engines import check_writing, open_database
    from keel.sqlite.settings import SqliteSettings

    chosen = SqliteSettings.load()
    database = open_database(chosen)
    lifecycle.install(app, database, migrate=chosen.migrates_at_start)
    services_of(app).checks.add("database_write", partial(check_writing, database))
