"""The operator's commands for tasks, and the roles that do them."""

from typing import Annotated
from uuid import UUID

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from keel import clock
from keel.celery import alive as signs
from keel.celery import leases
from keel.celery.repository import TaskReader, TaskRepository
from keel.celery.settings import WorkerSettings
from keel.celery.state import Worker
from keel.services import services_of

commands = typer.Typer(help="Tasks: the worker by itself; beat, failed tasks and more by their names.")


@commands.callback(invoke_without_command=True)
def worker(
    context: typer.Context,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Processes; WORKER_CONCURRENCY unless given")] = None,
) -> None:
    """Do tasks, until told to stop; a task that runs is finished first."""
    if context.invoked_subcommand is None:
        arguments = ["--quiet", "worker", "--without-gossip", "--without-mingle"]
        _celery([*arguments, f"--concurrency={concurrency}"] if concurrency else arguments)


@commands.command()
def beat() -> None:
    """Ask for scheduled tasks, and for those that a message was lost of. Of several, one is at work."""
    _celery(["--quiet", "beat"])


@commands.command()
def status(context: typer.Context) -> None:
    """Say how many tasks wait, run and have ended, and whether a beat is at work."""

    async def work(app: FastAPI) -> None:
        table = Table("State", "Tasks", "The oldest was asked for")
        for row in await TaskReader(services_of(app).database.read).standing():
            table.add_row(row.state, str(row.tasks), row.oldest.isoformat(timespec="seconds"))
        Console().print(table)
        beat = await leases.holder(services_of(app).database, leases.BEAT)
        typer.echo(f"Beat at work: {beat}" if beat else "No beat is at work.")

    context.obj.run(work)


@commands.command()
def failed(context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="How many are shown")] = 50) -> None:
    """List the tasks that were given up, the oldest first."""

    async def work(app: FastAPI) -> None:
        table = Table("Task", "Name", "Attempts", "Given up", "Reason")
        for row in await TaskReader(services_of(app).database.read).failed(limit):
            finished = row.finished_at.isoformat(timespec="seconds")
            table.add_row(str(row.id), row.name, str(row.attempt), finished, row.reason)
        Console().print(table)

    context.obj.run(work)


@commands.command()
def replay(
    context: typer.Context,
    task_id: Annotated[UUID | None, typer.Argument(help="One task")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every task that was given up")] = False,
) -> None:
    """Begin tasks anew that were given up."""
    if (task_id is None) is not all_:
        raise typer.BadParameter("name a task, or write --all")

    async def work(app: FastAPI) -> None:
        async with services_of(app).database.transaction() as session:
            replayed = await TaskRepository(session).replay(clock.now(), task_id)
        for one in replayed:
            Worker.of(app).jobs.announcer.announce(one)
        typer.echo(f"{len(replayed)} of them will be done again.")

    context.obj.run(work)


@commands.command()
def alive() -> None:
    """Succeed if a worker or beat in this container got on lately."""
    if not signs.is_alive():
        raise typer.Exit(1)


def _celery(arguments: list[str]) -> None:
    if WorkerSettings.load().in_process:
        raise typer.BadParameter("WORKER_BROKER_URL: name a broker; without one, the server does the tasks itself")
    from keel.celery.celery import celery_app

    celery_app.start(arguments)
