"""The operator's commands for PostgreSQL."""

import asyncio
from typing import Annotated

import typer
from rich.progress import Progress

from keel.db.models import load_models
from keel.ops.cli import friendly_errors
from keel.postgresql.copying import CopyError, copy_database
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings

commands = typer.Typer(help="PostgreSQL: move a SQLite database into it.", no_args_is_help=True)


@commands.callback()
def group() -> None:
    """Keep the name of the only command: Typer would omit it otherwise."""


@commands.command(name="copy-database")
def copy(
    source: Annotated[str, typer.Option("--from", help="The SQLite database, such as sqlite:///app.db")],
    target: Annotated[
        str | None, typer.Option("--to", help="The PostgreSQL database, migrated and empty; by default DATABASE_URL")
    ] = None,
) -> None:
    """Copy every row of a SQLite database; all or nothing is written."""
    settings = PostgresqlSettings.load() if target is None else PostgresqlSettings.model_validate({"url": target})
    load_models("keel", "app")

    async def work(progress: Progress) -> dict[str, int]:
        database = open_database(settings)
        tasks = {}

        def show(table: str, count: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table, total=None)
            progress.update(tasks[table], completed=count)

        engine = database.migrator()
        try:
            return await copy_database(source, engine, show)
        finally:
            await engine.dispose()
            await database.close()

    try:
        with friendly_errors(), Progress() as progress:
            copied = asyncio.run(work(progress))
    except CopyError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error
    for table, count in copied.items():
        typer.echo(f"{table}: {count}")
