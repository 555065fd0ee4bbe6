"""`python -m app kafka`: the roles `relay` and `consume`, and commands for operators."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from keel.kafka import heartbeat, roles
from keel.kafka.cloudevents import compatibility
from keel.kafka.consuming import dead_letters
from keel.kafka.settings import KafkaSettings
from keel.services import services_of

commands = typer.Typer(help="Kafka: relay and consumers; dead letters; topics; schemas.", no_args_is_help=True)
dead = typer.Typer(help="Dead letters: messages that failed on every attempt.", no_args_is_help=True)
commands.add_typer(dead, name="dead")

DeadLetter = Annotated[int, typer.Argument(help="Number of the dead letter")]


@commands.command()
def relay(context: typer.Context) -> None:
    """Publish the outbox until SIGTERM or SIGINT. Several relays may run."""
    _run(context, roles.relay)


@commands.command()
def consume(
    context: typer.Context,
    only: Annotated[list[str] | None, typer.Option(help="A consumer to run; repeatable. Default: all")] = None,
) -> None:
    """Handle events until SIGTERM or SIGINT, then finish the current batch. Several processes may run."""

    async def work(app: FastAPI) -> None:
        await roles.consume(app, only or [])

    _run(context, work)


@commands.command()
def rebuild(
    context: typer.Context, consumer: Annotated[str, typer.Argument(help="Consumer; stop its processes first")]
) -> None:
    """Delete a consumer's data and rebuild it from its topics."""

    async def work(app: FastAPI) -> None:
        typer.echo(f"Messages handled: {await roles.rebuild(app, consumer)}")

    _run(context, work)


@commands.command()
def topics(context: typer.Context) -> None:
    """Create missing topics."""

    async def work(app: FastAPI) -> None:
        created = await roles.create_topics(app)
        typer.echo(f"Created: {', '.join(created)}" if created else "All topics exist.")

    _run(context, work)


@commands.command()
def schemas(
    context: typer.Context,
    *,
    write: Annotated[bool, typer.Option("--write", help="Store them unless a change is breaking")] = False,
) -> None:
    """Compare the schemas of events with the published ones (`outbox.json` in each package)."""
    app: FastAPI = context.obj.create_app()
    broken = False
    for package, kinds in services_of(app).kafka.event_types.items():
        path = compatibility.file_of(package)
        before, after = compatibility.read(path), compatibility.schemas(kinds)
        changes = compatibility.breaking_changes(before, after)
        for change in changes:
            typer.echo(f"{package}: {change}")
        broken = broken or bool(changes)
        if write and not changes and before != after:
            compatibility.write(path, after)
            typer.echo(f"Written: {path}")
        elif before != after and not changes:
            typer.echo(f"{package}: compatible changes; store them with --write")
    raise typer.Exit(1 if broken else 0)


@dead.command(name="list")
def list_dead(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="Maximum number to show")] = 50
) -> None:
    """List dead letters, oldest first."""

    async def work(app: FastAPI) -> None:
        table = Table("Number", "Consumer", "Topic", "Offset", "Key", "Attempts", "Error")
        for row in await dead_letters.oldest(services_of(app).database.read, limit):
            key, place = (row.key or b"").decode(errors="replace"), f"{row.partition}:{row.offset}"
            table.add_row(str(row.id), row.consumer, row.topic, place, key, str(row.attempts), row.error)
        Console().print(table)

    context.obj.run(work)


@dead.command()
def show(context: typer.Context, number: DeadLetter) -> None:
    """Show a dead letter: its headers, then the raw message."""

    async def work(app: FastAPI) -> None:
        row = await dead_letters.get(services_of(app).database.read, number)
        if row is None:
            raise typer.BadParameter("no such dead letter")
        for name, value in row.headers.items():
            typer.echo(f"{name}: {value}")
        typer.echo(f"\n{row.value.decode(errors='replace')}")

    context.obj.run(work)


@dead.command()
def replay(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(help="Number of the dead letter")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All dead letters")] = False,
) -> None:
    """Queue dead letters for another attempt by their consumer."""
    if (number is None) is not all_:
        raise typer.BadParameter("give either a number or --all")

    async def work(app: FastAPI) -> None:
        async with services_of(app).database.transaction() as session:
            count = await dead_letters.replay(session, number)
        typer.echo(f"Dead letters queued: {count}")

    context.obj.run(work)


@dead.command()
def discard(context: typer.Context, number: DeadLetter) -> None:
    """Delete a dead letter."""

    async def work(app: FastAPI) -> None:
        async with services_of(app).database.transaction() as session:
            count = await dead_letters.discard(session, number)
        typer.echo(f"Dead letters deleted: {count}")

    context.obj.run(work)


@commands.command()
def alive() -> None:
    """Succeed if the relay or consumer in this container had a heartbeat recently (default: within two minutes)."""
    if not heartbeat.is_alive(KafkaSettings.load().max_silence):
        raise typer.Exit(1)


def _run(context: typer.Context, work: Callable[[FastAPI], Awaitable[None]]) -> None:
    """Run a command that needs brokers."""
    if not KafkaSettings.load().connected:
        raise typer.BadParameter("KAFKA_BOOTSTRAP_SERVERS is not set; without a broker, events wait in the outbox")
    roles.prepare()
    try:
        context.obj.run(work)
    except roles.RoleError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
