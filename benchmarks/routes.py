"""Where an application serves what is measured, and what it takes; by default as a rendered project does."""

import json
from dataclasses import dataclass

from benchmarks.stores import NOTES, note_ids

NOTE = json.dumps({"title": "A note of middling length", "body": "- measure the harbour\n" * 8})
CASES = ("health", "GET one", "GET list of 20", "POST")
READ = 200
"""How many of the stored rows are read in turn."""


@dataclass(frozen=True)
class Case:
    """What is asked for, over and over."""

    name: str
    paths: tuple[str, ...]
    body: str | None = None
    method: str = "POST"
    """For a case with a body."""


@dataclass(frozen=True)
class Routes:
    """The paths of an API, and the table behind them."""

    health: str = "/healthz"
    one: str = "/api/v1/notes/{id}"
    page: str = "/api/v1/notes?limit=20"
    rows: str = "/api/v1/notes"
    """Where a row is added."""
    method: str = "POST"
    row: str = NOTE
    sign_in: str = "/api/v1/auth/token"
    register: str = ""
    """Where an account is made, if that is done over HTTP."""
    renews: bool = True
    """Whether access tokens expire within a run, and an account may sign in again each turn."""
    table: str = NOTES

    def case(self, name: str) -> Case:
        """Return the case of a name."""
        if name == "health":
            return Case(name, (self.health,))
        if name == "GET one":
            return Case(name, tuple(dict.fromkeys(self.one.format(id=row) for row in note_ids(READ))))
        if name == "GET list of 20":
            return Case(name, (self.page,))
        return Case(name, (self.rows,), self.row, self.method)
