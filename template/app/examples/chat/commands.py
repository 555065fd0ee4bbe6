"""The operator's commands for chat."""

import json

import typer

from app.examples.chat.live import documents

commands = typer.Typer(no_args_is_help=True, help="Chat.")


@commands.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of the socket."""
    typer.echo(json.dumps(documents.asyncapi(), indent=2))


@commands.command()
def schema() -> None:
    """Print the JSON Schema of the frames."""
    typer.echo(json.dumps(documents.json_schema(), indent=2))
