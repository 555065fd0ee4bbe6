"""PostgreSQL, by asyncpg."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Make PostgreSQL the application's database."""
    from app.core import database
    from app.postgresql.engines import open_database
    from app.postgresql.settings import PostgresqlSettings

    chosen = PostgresqlSettings.load()
    database.install(app, open_database(chosen), migrate=chosen.migrates_at_start)
