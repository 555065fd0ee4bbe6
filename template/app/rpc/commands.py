"""The role that serves gRPC."""

import os
import signal
from collections.abc import Sequence

import typer
from fastapi import FastAPI

from app.core.feature import Feature

commands = typer.Typer(help="gRPC: serve it.")


@commands.callback(invoke_without_command=True)
def rpc(context: typer.Context) -> None:
    """Serve gRPC, until told to stop; calls that are under way are finished first."""
    # Several processes start at once: migrating is for the HTTP server, or for the command.
    os.environ.setdefault("DATABASE_MIGRATE_AT_START", "false")
    for number in (signal.SIGTERM, signal.SIGINT):
        # The application's lifespan hears of the signal, and `serve` of that.
        signal.signal(number, lambda _number, _frame: None)
    features: Sequence[Feature] = context.obj.features

    async def work(app: FastAPI) -> None:
        # Here and not before: other commands need not load gRPC.
        from app.rpc.server import CannotListen, serve

        try:
            await serve(app, features)
        except CannotListen as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error

    context.obj.run(work)
