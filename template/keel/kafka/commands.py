"""The roles `python -m app kafka relay` and `consume`, and the operator's commands for events."""

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
dead = typer.Typer(help="Dead letters: messages that no attempt could handle.", no_args_is_help=True)
commands.add_typer(dead, name="dead")

DeadLetter = Annotated[int, typer.Argument(help="The number of a dead letter")]


@commands.command()
def relay(context: typer.Context) -> None:
    """Publish the outbox until SIGTERM or SIGINT. Several may run."""
    _run(context, roles.relay)


@commands.command()
def consume(
    context: typer.Context,
    only: Annotated[
        list[str] | None, typer.Option(help="A consumer; may be given several times. All by default")
    ] = None,
) -> None:
    """Handle events until SIGTERM or SIGINT; what was begun is finished. Several may run."""

    async def work(app: FastAPI) -> None:
        await roles.consume(app, only or [])

    _run(context, work)


@commands.command()
def rebuild(
    context: typer.Context, consumer: Annotated[str, typer.Argument(help="Whose processes are stopped")]
) -> None:
    """Delete what a consumer has stored, and make it anew from its topics."""

    async def work(app: FastAPI) -> None:
        typer.echo(f"Messages that were handled: {await roles.rebuild(app, consumer)}")

    _run(context, work)


@commands.command()
def topics(context: typer.Context) -> None:
    """Create the topics that are missing."""

    async def work(app: FastAPI) -> None:
        created = await roles.create_topics(app)
        typer.echo(f"Created: {', '.join(created)}" if created else "All topics exist.")

    _run(context, work)


@commands.command()
def schemas(
    context: typer.Context,
    *,
    write: Annotated[bool, typer.Option("--write", help="Write them, if no change breaks consumers")] = False,
) -> None:
    """Compare the schemas of events with those that were published (`outbox.json` of each package)."""
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
            typer.echo(f"{package}: changed, and nothing breaks; write it down with --write")
    raise typer.Exit(1 if broken else 0)


@dead.command(name="list")
def list_dead(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="How many are shown")] = 50
) -> None:
    """List dead letters, the oldest first."""

    async def work(app: FastAPI) -> None:
        table = Table("Number", "Consumer", "Topic", "Offset", "Key", "Attempts", "Error")
        for row in await dead_letters.oldest(services_of(app).database.read, limit):
            key, place = (row.key or b"").decode(errors="replace"), f"{row.partition}:{row.offset}"
            table.add_row(str(row.id), row.consumer, row.topic, place, key, str(row.attempts), row.error)
        Console().print(table)

    context.obj.run(work)


@dead.command()
def show(context: typer.Context, number: DeadLetter) -> None:
    """Show a dead letter: its headers, then the message as it came."""

    async def work(app: FastAPI) -> None:
        row = await dead_letters.get(services_of(app).database.read, number)
        if row is None:
            raise typer.BadParameter("there is no such dead letter")
        for name, value in row.headers.items():
            typer.echo(f"{name}: {value}")
        typer.echo(f"\n{row.value.decode(errors='replace')}")

    context.obj.run(work)


@dead.command()
def replay(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(help="The number of a dead letter")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All dead letters")] = False,
) -> None:
    """Try dead letters again, as a consumer's process gets to them."""
    if (number is None) is not all_:
        raise typer.BadParameter("name a dead letter, or write --all")

    async def work(app: FastAPI) -> None:
        async with services_of(app).database.transaction() as session:
            count = await dead_letters.replay(session, number)
        typer.echo(f"Dead letters that are tried again: {count}")

    context.obj.run(work)


@dead.command()
def discard(context: typer.Context, number: DeadLetter) -> None:
    """Delete a dead letter."""

    async def work(app: FastAPI) -> None:
        async with services_of(app).database.transaction() as session:
            count = await dead_letters.discard(session, number)
        typer.echo(f"Dead letters that were deleted: {count}")

    context.obj.run(work)


@commands.command()
def alive() -> None:
    """Succeed if the relay or consumer of this container works: it has had a heartbeat, as a rule within two minutes."""
    if not heartbeat.is_alive(KafkaSettings.load().max_silence):
        raise typer.Exit(1)


def _run(context: typer.Context, work: Callable[[FastAPI], Awaitable[None]]) -> None:
    """Run what talks to brokers."""
    if not KafkaSettings.load().connected:
        raise typer.BadParameter("KAFKA_BOOTSTRAP_SERVERS: name a broker; without one, events wait in the outbox")
    roles.prepare()
    try:
        context.obj.run(work)
    except roles.RoleError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
