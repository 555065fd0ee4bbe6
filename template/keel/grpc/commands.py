"""The role that serves gRPC."""

import os
import signal
from collections.abc import Sequence

import typer
from fastapi import FastAPI

from keel.grpc.settings import RpcSettings
from keel.packages import Package

commands = typer.Typer(help="gRPC: the server by itself; in its container, whether it is healthy.")


@commands.callback(invoke_without_command=True)
def rpc(context: typer.Context) -> None:
    """Serve gRPC, until told to stop; calls that are under way are finished first."""
    if context.invoked_subcommand is not None:
        return
    # Several processes start at once: migrating is for the HTTP server, or for the command.
    os.environ.setdefault("DATABASE_MIGRATE_AT_START", "false")
    for number in (signal.SIGTERM, signal.SIGINT):
        # The application's lifespan hears of the signal, and `serve` of that.
        signal.signal(number, lambda _number, _frame: None)
    packages: Sequence[Package] = context.obj.packages

    async def work(app: FastAPI) -> None:
        # Here and not before: other commands need not load gRPC.
        from keel.grpc.server import CannotListen, serve

        try:
            await serve(app, packages)
        except CannotListen as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error

    context.obj.run(work)


@commands.command()
def healthy() -> None:
    """Succeed if the server on this machine is ready, as a probe in its container asks."""
    from keel.grpc.health import is_healthy

    if not is_healthy(RpcSettings.load().port):
        raise typer.Exit(1)
