"""The operator's commands in every project; packages add theirs under their own names."""

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

from keel.about import ROOT
from keel.db import lifecycle
from keel.features import FEATURES
from keel.identity import seed_owner
from keel.ops import feature_removal, settings_check
from keel.ops.new.command import new
from keel.ops.upgrades import changes_since, last_version
from keel.packages import Package, find_package, find_packages, load_each
from keel.services import services_of
from keel.settings import CoreSettings
from keel.web.errors import Unavailable


class CliContext:
    """The context of a command: the application, running but not serving."""

    def __init__(self, create_app: Callable[[], FastAPI], packages: Sequence[Package]) -> None:
        self.create_app = create_app
        self.packages = packages

    def run(self, work: Callable[[FastAPI], Awaitable[None]]) -> None:
        """Run an async function within the application's lifespan."""

        async def main() -> None:
            app = self.create_app()
            async with app.router.lifespan_context(app):
                await work(app)
                await services_of(app).jobs.drain(patient=True)

        with friendly_errors():
            asyncio.run(main())


@contextmanager
def friendly_errors() -> Generator[None]:
    """Report in one line, instead of a traceback, that the database does not answer."""
    try:
        yield
    except Unavailable as error:
        typer.echo(f"The database does not answer: {_root(error)}. Check DATABASE_URL, or try again later.", err=True)
        raise typer.Exit(1) from error


def build(create_app: Callable[[], FastAPI], root: str) -> typer.Typer:
    """Return the command line of an application, of the features, and of the packages below a root package."""
    cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    packages = all_packages(root)
    operator = CliContext(create_app, packages)

    @cli.callback()
    def root(context: typer.Context) -> None:
        """Operate the application."""
        context.obj = operator

    cli.command()(migrate)
    cli.command(name="settings")(show_settings)
    cli.command()(upgrades)
    cli.command(name="feature-removal")(show_feature_removal)
    cli.command()(seed)
    cli.command()(purge)
    cli.command()(schedule)
    cli.command(name="packages")(show_packages)
    cli.command()(new)
    for package, module in load_each(packages, "commands"):
        cli.add_typer(module.commands, name=package.short_name)
    return cli


def all_packages(root: str) -> list[Package]:
    """Return the features, then the packages below a root package."""
    return [*(find_package(feature.__name__) for feature in FEATURES), *find_packages(root)]


def migrate(
    context: typer.Context, revision: Annotated[str, typer.Argument(help="An Alembic revision")] = "head"
) -> None:
    """Bring the database's schema up to date."""
    from alembic.util import CommandError

    async def work() -> None:
        database = services_of(context.obj.create_app()).database
        # Only what migrations need: a replica may be down, or may not exist yet.
        engine = database.migrator()
        try:
            async with engine.connect():
                pass
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable("The database does not answer.") from error
        finally:
            await engine.dispose()
        try:
            await lifecycle.upgrade(database, revision)
            if revision == "head":
                await lifecycle.check_tables(database)
        except CommandError as error:
            typer.echo(f"{error}. Is it another project's database? Check DATABASE_URL.", err=True)
            raise typer.Exit(1) from error
        except lifecycle.MissingTables as error:
            # Not a failure: the migration that creates them may not exist yet.
            typer.echo(f"{error}", err=True)
        finally:
            await database.close()

    with friendly_errors():
        asyncio.run(work())


def show_settings(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only list settings that are missing, wrong, renamed or unknown")
    ] = False,
    allow: Annotated[list[str] | None, typer.Option(help="With --check: a variable in .env for other programs")] = None,
) -> None:
    """Show every setting, its variable and its value; secrets are masked."""
    if check:
        problems = settings_check.problems(allow or ())
        typer.echo("\n".join(problems) or "Every setting is known, and nothing is missing.")
        raise typer.Exit(1 if problems else 0)
    table = Table("Variable", "Value", "")
    for settings_class in settings_check.find_settings():
        settings = settings_class.load()
        for field in settings_class.model_fields:
            if field == "environment" and settings_class is not CoreSettings:
                continue
            origin = "" if field in settings.model_fields_set else "default"
            table.add_row(settings_class.variable(field), _shown(getattr(settings, field)), origin)
    Console().print(table)


def upgrades(
    since: Annotated[
        str | None, typer.Option(help="A version, such as v1.2.0; by default, the one at the last commit")
    ] = None,
) -> None:
    """Show noticeable changes since a version of the template."""
    version = since or last_version()
    found = changes_since(version)
    moment = version or "the beginning"
    typer.echo(f"Since {moment}:" if found else f"Nothing noticeable has changed since {moment}.")
    for package, change in found:
        typer.echo(f"\n{change.version} ({package})")
        renamed = [f"{old} is now called {new}." for old, new in change.renamed.items()]
        removed = [f"{name} is no longer read." for name in change.removed]
        for line in filter(None, [change.what, change.do, *renamed, *removed]):
            typer.echo(f"  {line}")


def show_feature_removal(
    feature: Annotated[
        str | None,
        typer.Argument(help="A question with the answer true in .copier-answers.yml; by default, the next update"),
    ] = None,
) -> None:
    """Show what removing a feature, or the next update, would delete; exit with 1 if anything of yours is affected."""
    try:
        found = feature_removal.removal(ROOT, feature)
    except feature_removal.RemovalError as error:
        raise typer.BadParameter(str(error)) from error
    for line in found.lines():
        typer.echo(line)
    raise typer.Exit(1 if found.concerns_you else 0)


def seed(
    context: typer.Context,
    count: Annotated[int, typer.Option(min=1, help="How many rows each feature adds")] = 200,
    owner: Annotated[
        str | None, typer.Option(help="The e-mail address of the account that owns the rows; by default, a new one")
    ] = None,
    *,
    force: Annotated[bool, typer.Option(help="Even if ENVIRONMENT is staging or production")] = False,
) -> None:
    """Add demonstration data."""
    if CoreSettings.load().deployed and not force:
        raise typer.BadParameter("this is not a developer's database; use --force if you mean it")

    seeds = [*load_each(context.obj.packages, "seed")]
    if not seeds:
        typer.echo("There is nothing to seed: no package has a module `seed`.")
        return

    async def work(app: FastAPI) -> None:
        try:
            services_of(app).seed_owner, told = await seed_owner(app, owner)
        except LookupError as error:
            raise typer.BadParameter(str(error)) from error
        with Progress() as progress:
            for package, module in seeds:
                task = progress.add_task(package.short_name, total=count)
                async for _ in module.seed(app, count):
                    progress.advance(task)
        typer.echo(told, nl=bool(told))

    context.obj.run(work)


def show_packages(context: typer.Context) -> None:
    """List the packages and their hooks."""
    table = Table("Package", "Offers")
    for package in context.obj.packages:
        table.add_row(package.name, ", ".join(package.offers))
    Console().print(table)


def purge(context: typer.Context) -> None:
    """Delete expired rows."""

    async def work(app: FastAPI) -> None:
        services = services_of(app)
        for name, count in (await services.retention.run(services.database)).items():
            typer.echo(f"{name}: {count}")

    context.obj.run(work)


def schedule(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="An entry to run now; by default, list all")] = None,
) -> None:
    """List the scheduled jobs, or run one now: without a feature that schedules them, use cron for that."""

    async def work(app: FastAPI) -> None:
        services = services_of(app)
        entries = services.schedule.entries
        if name is None:
            table = Table("Name", "Job", "When (UTC)")
            for title, entry in entries.items():
                table.add_row(title, entry.job, entry.cron)
            Console().print(table)
            by_hand = 'Nothing runs these automatically: let cron run `python -m app schedule "NAME"` at each time.'
            typer.echo(f"`{services.schedule.clock}` runs them." if services.schedule.clock else by_hand)
            return
        if name not in entries:
            raise typer.BadParameter(f"there is no {name!r}; there are {', '.join(entries) or 'none'}")
        async with services.database.transaction() as session:
            await services.jobs.enqueue(session, entries[name].job, entries[name].payload)

    context.obj.run(work)


def _root(error: BaseException) -> BaseException:
    """Return the root cause of an error: the driver's own message."""
    while cause := getattr(error, "orig", None) or error.__cause__:
        error = cause
    return error


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
