"""Routes and request bodies of an application; the defaults are those of a rendered project."""

import json
from dataclasses import dataclass

from benchmarks.stores import NOTES, note_ids

NOTE = json.dumps({"title": "A note of middling length", "body": "- measure the harbour\n" * 8})
CASES = ("health", "GET one", "GET list of 20", "POST")
READ = 200
"""Number of stored rows to read in turn."""


@dataclass(frozen=True)
class Case:
    """A request to repeat."""

    name: str
    paths: tuple[str, ...]
    body: str | None = None
    method: str = "POST"
    """For cases with a body."""


@dataclass(frozen=True)
class Routes:
    """An API's paths and the table behind them."""

    health: str = "/healthz"
    one: str = "/api/v1/notes/{id}"
    page: str = "/api/v1/notes?limit=20"
    rows: str = "/api/v1/notes"
    """Path for adding a row."""
    method: str = "POST"
    row: str = NOTE
    sign_in: str = "/api/v1/auth/token"
    register: str = ""
    """Path for registering an account, if over HTTP."""
    renews: bool = True
    """Whether access tokens expire during a run, so that the account signs in again for each turn."""
    table: str = NOTES

    def case(self, name: str) -> Case:
        """Return a case by name."""
        if name == "health":
            return Case(name, (self.health,))
        if name == "GET one":
            return Case(name, tuple(dict.fromkeys(self.one.format(id=row) for row in note_ids(READ))))
        if name == "GET list of 20":
            return Case(name, (self.page,))
        return Case(name, (self.rows,), self.row, self.method)
