"""The operator's commands that every project has; packages add theirs under their own names."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.core import migrations
from app.core.feature import Feature, submodule
from app.core.settings import CoreSettings, Settings


class Operator:
    """What a command works with: the application, running but not serving."""

    def __init__(self, create_app: Callable[[], FastAPI], features: Sequence[Feature]) -> None:
        self.create_app = create_app
        self.features = features

    def run(self, work: Callable[[FastAPI], Awaitable[None]]) -> None:
        """Do some work within the application's lifespan."""

        async def main() -> None:
            app = self.create_app()
            async with app.router.lifespan_context(app):
                await work(app)

        asyncio.run(main())


def build(create_app: Callable[[], FastAPI], features: Sequence[Feature]) -> typer.Typer:
    """Return the command line of an application and its features."""
    cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    operator = Operator(create_app, features)

    @cli.callback()
    def root(context: typer.Context) -> None:
        """Operate the application."""
        context.obj = operator

    cli.command()(migrate)
    cli.command(name="settings")(show_settings)
    cli.command()(seed)
    cli.command()(purge)
    for feature in features:
        if module := submodule(feature, "commands"):
            cli.add_typer(module.commands, name=_name(feature))
    return cli


def migrate(
    context: typer.Context, revision: Annotated[str, typer.Argument(help="A revision of Alembic's")] = "head"
) -> None:
    """Bring the database's schema up to date."""
    app = context.obj.create_app()
    asyncio.run(migrations.upgrade(app.state.database, revision))


def show_settings(context: typer.Context) -> None:
    """Show every setting, its variable and its value; secrets are masked."""
    table = Table("Variable", "Value", "")
    for settings_class in known_settings(context.obj.features):
        settings = settings_class.load()
        for field in settings_class.model_fields:
            if field == "environment" and settings_class is not CoreSettings:
                continue
            origin = "" if field in settings.model_fields_set else "default"
            table.add_row(settings_class.variable(field), _shown(getattr(settings, field)), origin)
    Console().print(table)


def seed(
    context: typer.Context,
    count: Annotated[int, typer.Option(min=1, help="How many rows each feature adds")] = 200,
    *,
    force: Annotated[bool, typer.Option(help="Also where ENVIRONMENT is staging or production")] = False,
) -> None:
    """Add demonstration data."""
    if CoreSettings.load().deployed and not force:
        raise typer.BadParameter("this is not a developer's database; use --force if you mean it")

    async def work(app: FastAPI) -> None:
        with Progress() as progress:
            for feature in context.obj.features:
                if module := submodule(feature, "seed"):
                    task = progress.add_task(_name(feature), total=count)
                    async for _ in module.seed(app, count):
                        progress.advance(task)

    context.obj.run(work)


def purge(context: typer.Context) -> None:
    """Delete what has served its time."""

    async def work(app: FastAPI) -> None:
        for name, count in (await app.state.purges.run(app.state.database)).items():
            typer.echo(f"{name}: {count}")

    context.obj.run(work)


def known_settings(features: Sequence[Feature]) -> list[type[Settings]]:
    """Return core's settings class, then those of the features."""
    for feature in features:
        submodule(feature, "settings")
    return [cls for cls in Settings.__subclasses__() if cls.__module__.startswith("app.")]


def _name(feature: Feature) -> str:
    return feature.__name__.rpartition(".")[2]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
