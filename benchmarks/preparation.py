"""A contender's database: its tables, an account where there are accounts, and notes."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import accounts
from benchmarks.project import Project
from benchmarks.servers import Contender, add_note, serving
from benchmarks.stores import FLOOR_NOTES, NOTES, MakeDatabase


@contextmanager
def with_database(
    contender: Contender, make: MakeDatabase, log: Path, project: Project | None
) -> Generator[Contender]:
    """Give a contender a database and an access token until the block ends; without a project it is a floor."""
    token = ""

    def prepare(store: dict[str, str]) -> None:
        nonlocal token
        ready = replace(contender, env=contender.env | store)
        if project:
            project.run("app", "migrate", env=ready.env)
            if ready.signs_in:
                accounts.create(project, ready.env)
        token = _add_note(ready, log)

    with make(contender.name, prepare, table=NOTES if project else FLOOR_NOTES) as store:
        yield replace(contender, env=contender.env | store, token=token)


def _add_note(contender: Contender, log: Path) -> str:
    """Add the note that is copied; return an access token."""
    with serving(contender, log) as server:
        token = accounts.sign_in(server.port) if contender.signs_in else ""
        add_note(server, token)
        return token
