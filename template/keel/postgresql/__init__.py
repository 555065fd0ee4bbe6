"""PostgreSQL, with asyncpg."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Install PostgreSQL as the application's database."""
    from keel.db import lifecycle
    from keel.postgresql.engines import open_database
    from keel.postgresql.settings import PostgresqlSettings

    chosen = PostgresqlSettings.load()
    lifecycle.install(app, open_database(chosen), migrate=chosen.migrates_at_start)
