"""The operator's commands that every project has; packages add theirs under their own names."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from app.core import drift, migrations, removal
from app.core.errors import Unavailable
from app.core.feature import Feature, submodule
from app.core.settings import CoreSettings, Settings
from app.core.upgrades import changes_since, last_version


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

        with explained():
            asyncio.run(main())


@contextmanager
def explained() -> Generator[None]:
    """Say in a line, instead of a traceback, that the database does not answer."""
    try:
        yield
    except Unavailable as error:
        typer.echo(f"The database does not answer: {_root(error)}. Look at DATABASE_URL, or try again later.", err=True)
        raise typer.Exit(1) from error


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
    cli.command()(upgrades)
    cli.command(name="removal")(show_removal)
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

    async def work() -> None:
        database = context.obj.create_app().state.database
        # Only what migrations need: a replica may be away, or not there yet.
        engine = database.migrator()
        try:
            async with engine.connect():
                pass
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable("The database does not answer.") from error
        finally:
            await engine.dispose()
        await migrations.upgrade(database, revision)

    with explained():
        asyncio.run(work())


def show_settings(
    context: typer.Context,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only name what is missing, wrong, renamed or unknown")
    ] = False,
    allow: Annotated[list[str] | None, typer.Option(help="With --check: a variable in .env that others read")] = None,
) -> None:
    """Show every setting, its variable and its value; secrets are masked."""
    if check:
        problems = drift.problems(allow or ())
        typer.echo("\n".join(problems) or "Every setting is known, and nothing is missing.")
        raise typer.Exit(1 if problems else 0)
    table = Table("Variable", "Value", "")
    for settings_class in known_settings(context.obj.features):
        settings = settings_class.load()
        for field in settings_class.model_fields:
            if field == "environment" and settings_class is not CoreSettings:
                continue
            origin = "" if field in settings.model_fields_set else "default"
            table.add_row(settings_class.variable(field), _shown(getattr(settings, field)), origin)
    Console().print(table)


def upgrades(
    since: Annotated[
        str | None, typer.Option(help="A version, such as v1.2.0; unless named, that of the last commit")
    ] = None,
) -> None:
    """Say what an update of the template changed that you may notice."""
    version = since or last_version()
    found = changes_since(version)
    moment = version or "the beginning"
    typer.echo(f"Since {moment}:" if found else f"Nothing to know of since {moment}.")
    for package, change in found:
        typer.echo(f"\n{change.version} ({package})")
        renamed = [f"{old} is now called {new}." for old, new in change.renamed.items()]
        removed = [f"{name} is not read any more." for name in change.removed]
        for line in filter(None, [change.what, change.do, *renamed, *removed]):
            typer.echo(f"  {line}")


def show_removal(
    feature: Annotated[
        str | None,
        typer.Argument(help="A question that .copier-answers.yml answers with true; without it: the next update"),
    ] = None,
) -> None:
    """Say what would go with a feature or the next update; the status is 1 if anything of yours is concerned."""
    try:
        found = removal.removal(migrations.ROOT, feature)
    except removal.RemovalError as error:
        raise typer.BadParameter(str(error)) from error
    for line in found.lines():
        typer.echo(line)
    raise typer.Exit(1 if found.concerns_you else 0)


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


def _root(error: BaseException) -> BaseException:
    """Return what an error came of: the driver's own words."""
    while cause := getattr(error, "orig", None) or error.__cause__:
        error = cause
    return error


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
