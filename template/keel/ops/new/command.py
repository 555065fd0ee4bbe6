"""The command `python -m app new`."""

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from keel.services import services_of


def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The singular, such as book or blog_post")],
    fields: Annotated[
        list[str], typer.Argument(help="name:type, such as title:str; see keel/docs/adding-a-resource.md")
    ],
    *,
    plural: Annotated[str | None, typer.Option(help="The plural, if irregular")] = None,
    owned: Annotated[
        bool | None, typer.Option("--owned/--shared", help="Rows belong to a caller (the default), or to everyone")
    ] = None,
    nested_under: Annotated[
        str | None, typer.Option(help="The table whose rows these belong to, such as books")
    ] = None,
    read_only: Annotated[bool, typer.Option(help="Callers may only read")] = False,
    migrate: Annotated[
        bool | None, typer.Option("--migrate/--no-migrate", help="Write and apply the migration, without asking")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only print the files")] = False,
) -> None:
    """Generate a resource: a package in app/, its tests and its migration."""
    # Imported late: other commands do not need these modules.
    from keel.ops.new import writing
    from keel.ops.new.names import NewError

    app = context.obj.create_app()
    try:
        resource = writing.describe(
            app, name, fields, plural=plural, owned=owned, parent=nested_under, read_only=read_only
        )
        files = writing.render(resource)
        if dry_run:
            typer.echo("\n".join(f"# {path.as_posix()}\n\n{text}" for path, text in files.items()), nl=False)
            return
        if migrate is None and sys.stdin.isatty():
            migrate = typer.confirm("Also write the migration and apply it?")
        config = writing.prepare_migration(services_of(app).database) if migrate else None
        with ExitStack() as undo:
            writing.write(files, undo)
            written = [*files]
            if config:
                written.append(writing.migrate(config, f"add {resource.plural.words}", undo))
            undo.pop_all()
    except (NewError, OSError) as error:
        typer.echo(f"{error} Nothing was written.", err=True)
        raise typer.Exit(1) from error
    typer.echo("\n".join(path.as_posix() for path in written))
    if not config:
        typer.echo(f'Next: uv run alembic revision --autogenerate -m "add {resource.plural.words}"')
