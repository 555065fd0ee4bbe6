"""A contender's database: tables, an account if it has accounts, and rows."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from benchmarks import accounts
from benchmarks.servers import Contender, add_row, serving
from benchmarks.stores import MakeDatabase


class Installed(Protocol):
    """A contender's installation."""

    def prepare(self, env: dict[str, str], *, account: bool) -> None:
        """Create the tables, and the account unless it is registered over HTTP."""


@contextmanager
def with_database(
    contender: Contender, make: MakeDatabase, log: Path, installed: Installed | None
) -> Generator[Contender]:
    """Give a contender a database and an access token until the block ends; floors have no `Installed`."""
    token = ""

    def prepare(store: dict[str, str]) -> None:
        nonlocal token
        ready = replace(contender, env=contender.env | store)
        if installed:
            installed.prepare(ready.env, account=ready.signs_in)
        token = _add_row(ready, log)

    with make(contender.name, prepare, table=contender.routes.table) as store:
        yield replace(contender, env=contender.env | store, token=token)


def _add_row(contender: Contender, log: Path) -> str:
    """Add the row to copy; return an access token."""
    with serving(contender, log) as server:
        if contender.routes.register:
            accounts.register(server.port, contender.routes)
        token = accounts.sign_in(server.port, contender.routes) if contender.signs_in else ""
        add_row(server, contender.routes, token)
        return token
