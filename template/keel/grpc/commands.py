"""The role `python -m app grpc`."""

import os
import signal
from collections.abc import Sequence

import typer
from fastapi import FastAPI

from keel.grpc.settings import GrpcSettings
from keel.packages import Package

commands = typer.Typer(help="gRPC: the server; the health check of its container.")


@commands.callback(invoke_without_command=True)
def serve_grpc(context: typer.Context) -> None:
    """Serve gRPC until SIGTERM or SIGINT; calls in progress are finished first."""
    if context.invoked_subcommand is not None:
        return
    # Several processes start at once: migrations are left to the HTTP server or the command.
    os.environ.setdefault("DATABASE_MIGRATE_AT_START", "false")
    for number in (signal.SIGTERM, signal.SIGINT):
        # The application's lifespan handles the signal, and `serve` waits for that.
        signal.signal(number, lambda _number, _frame: None)
    packages: Sequence[Package] = context.obj.packages

    async def work(app: FastAPI) -> None:
        # Imported late: other commands do not need gRPC.
        from keel.grpc.server import CannotListen, serve

        try:
            await serve(app, packages)
        except CannotListen as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error

    context.obj.run(work)


@commands.command()
def healthy() -> None:
    """Succeed if the server on this machine is ready; for a probe in its container."""
    from keel.grpc.health import is_healthy

    if not is_healthy(GrpcSettings.load().port):
        raise typer.Exit(1)
