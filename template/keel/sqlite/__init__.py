"""SQLite: the database is one file, with one writer at a time."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Make SQLite the application's database."""
    from keel.db import lifecycle
    from keel.sqlite.engines import open_database
    from keel.sqlite.settings import SqliteSettings

    chosen = SqliteSettings.load()
    lifecycle.install(app, open_database(chosen), migrate=chosen.migrates_at_start)
