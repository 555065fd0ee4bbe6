"""The operator's commands for tasks, including those that run workers and beat."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from keel import clock
from keel.celery.repository import TaskReader, TaskRepository
from keel.celery.settings import CelerySettings
from keel.celery.tasks import leases
from keel.celery.worker import heartbeat
from keel.services import services_of

commands = typer.Typer(help="Celery: without a command, run a worker.")


@commands.callback(invoke_without_command=True)
def worker(
    context: typer.Context,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Processes; by default CELERY_CONCURRENCY")] = None,
) -> None:
    """Run a worker. On SIGTERM it finishes the running tasks first."""
    if context.invoked_subcommand is None:
        arguments = ["--quiet", "worker", "--without-gossip", "--without-mingle"]
        _start(context, [*arguments, f"--concurrency={concurrency}"] if concurrency else arguments)


@commands.command()
def beat(context: typer.Context) -> None:
    """Run the schedule and the relay. Of several beats, one is active."""
    _start(context, ["--quiet", "beat"])


@commands.command()
def status(context: typer.Context) -> None:
    """Count the tasks by state, and show the active beat."""

    async def work(app: FastAPI) -> None:
        table = Table("State", "Tasks", "Oldest")
        for row in await TaskReader(services_of(app).database.read).count_by_state():
            table.add_row(row.state, str(row.tasks), row.oldest.isoformat(timespec="seconds"))
        Console().print(table)
        beat = await leases.get_holder(services_of(app).database, leases.BEAT)
        typer.echo(f"Active beat: {beat}" if beat else "No beat is active.")

    context.obj.run(work)


@commands.command()
def failed(context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="How many to show")] = 50) -> None:
    """List failed tasks, oldest first."""

    async def work(app: FastAPI) -> None:
        table = Table("Task", "Name", "Attempts", "Failed at", "Last error")
        for row in await TaskReader(services_of(app).database.read).failed(limit):
            finished = row.finished_at.isoformat(timespec="seconds")
            table.add_row(str(row.id), row.name, str(row.attempt), finished, row.last_error)
        Console().print(table)

    context.obj.run(work)


@commands.command()
def replay(
    context: typer.Context,
    task_id: Annotated[UUID | None, typer.Argument(help="A failed task")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All failed tasks")] = False,
) -> None:
    """Retry failed tasks."""
    if (task_id is None) is not all_:
        raise typer.BadParameter("name a task, or pass --all")

    async def work(app: FastAPI) -> None:
        async with services_of(app).database.transaction() as session:
            replayed = await TaskRepository(session).replay(clock.now(), task_id)
        for one in replayed:
            services_of(app).celery.jobs.publisher.publish(one)
        typer.echo(f"Tasks to retry: {len(replayed)}")

    context.obj.run(work)


@commands.command()
def alive() -> None:
    """Succeed if this container's worker or beat has had a heartbeat within the last minute."""
    if not heartbeat.is_alive():
        raise typer.Exit(1)


def _start(context: typer.Context, arguments: Sequence[str]) -> None:
    if CelerySettings.load().in_process:
        raise typer.BadParameter("CELERY_BROKER_URL: name a broker; without one, the server runs the tasks itself")
    # Imported late: servers build this command line too, without needing Celery.
    from keel.celery.worker.app import WorkerApp

    WorkerApp(context.obj.create_app).start([*arguments])
