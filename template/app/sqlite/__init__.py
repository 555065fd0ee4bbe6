"""SQLite: the database is a file, and one process at a time writes to it."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Make SQLite the application's database."""
    from app.core import database
    from app.sqlite.engines import open_database
    from app.sqlite.settings import SqliteSettings

    chosen = SqliteSettings.load()
    database.install(app, open_database(chosen), migrate=chosen.migrates_at_start)
