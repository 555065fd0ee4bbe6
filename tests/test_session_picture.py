"""The session pictured in README.md is real."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.machinery.checkout import checkout
from tests.machinery.rendering import ROOT
from tests.machinery.shell import Shell
from tests.machinery.terminal_picture import draw, settled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources

PICTURE = ROOT / "docs/images/session.svg"
#: Set it to have the picture drawn anew.
WRITE = "WRITE_PICTURES"
TITLE = "From nothing to an API of your own"
#: What is typed, and what of the output is shown: all of it, or so many last lines.
COPY = 'uvx copier copy --quiet --defaults --data preset=minimal --data project_name="Harbour Log" keel harbour-log'
NEW = 'uv run python -m app new book title:str "price:decimal?" published:date --migrate'
TEST = "uv run pytest --quiet tests/books"
ALEMBIC = ("  Generating", "  done", "Generating", "Running post write hook")
SERVE = "uv run fastapi run --port $PORT"
POST = """curl -s http://127.0.0.1:$PORT/api/v1/books -H 'Content-Type: application/json' \\
  -d '{"title": "Moby-Dick", "published": "1851-10-18"}'"""


def test_session(resources: Resources, tmp_path: Path) -> None:
    """Copying, writing and migrating a resource, testing, serving and calling it print what the picture shows."""
    checkout(resources.template, tmp_path / "keel")
    # Without what Alembic logs on the way.
    shell = Shell(tmp_path, tmp_path / "tools", {**resources.one_environment, "LOG_LEVEL": "WARNING"})
    session = []

    def typed(command: str, shown: str = "", last: int = 99) -> None:
        # What uv tells on the way goes to standard error.
        output = settled(shell.must(f"{command} 2>/dev/null")).splitlines()
        kept = [line for line in output if line.strip() and not line.startswith(ALEMBIC)][-last:]
        session.append((f"$ {shown or command}", "\n".join(kept)))

    typed(COPY, COPY.replace(" --data project", " \\\n    --data project"))
    typed("cd harbour-log")
    typed(NEW)
    typed(TEST, last=1)
    with shell.served(SERVE):
        session.append(("$ uv run fastapi dev &", ""))
        typed(POST, POST.replace("$PORT", "8000"))
    picture = draw(TITLE, session)
    if os.environ.get(WRITE):
        PICTURE.write_text(picture, encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == picture, f"set {WRITE}=1 to have it drawn anew"
