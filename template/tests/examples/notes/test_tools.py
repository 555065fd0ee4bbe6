"""The tool that searches notes: only the caller's, whatever a note or a model says."""

import json

import orjson
import pytest
from fastapi import FastAPI

from app.examples.notes.schemas import NoteCreate
from app.examples.notes.service import NoteService
from keel.caller import Caller
from keel.services import services_of

ADA = Caller("ada", frozenset({"notes:read", "notes:write"}))
EVE = Caller("eve", frozenset({"notes:read", "notes:write"}))


async def write(app: FastAPI, caller: Caller, title: str, body: str = "") -> None:
    """Add a note."""
    services = services_of(app)
    async with services.database.transaction() as session:
        await NoteService(session, caller, services).create(NoteCreate(title=title, body=body))


async def test_own_notes_are_found(app: FastAPI) -> None:
    """The newest first, at most five, and none of other callers."""
    for number in range(7):
        await write(app, ADA, f"Harbour {number}", "x" * 2000)
    await write(app, EVE, "Harbour of Eve")
    result = await services_of(app).llm.tools.call("search_notes", {"query": "harbour"}, ADA)

    found = orjson.loads(result.text)
    assert [note["title"] for note in found] == [f"Harbour {number}" for number in (6, 5, 4, 3, 2)]
    assert max(len(note["body"]) for note in found) == 500


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": "harbour", "owner_id": "eve"},
        {"query": "harbour", "caller": {"subject": "eve"}},
        {"query": ["harbour"]},
        {"query": "x" * 201},
        {},
    ],
)
async def test_unknown_arguments_are_refused(app: FastAPI, arguments: dict[str, object]) -> None:
    """A model that was talked into asking for other callers' notes is refused."""
    await write(app, EVE, "Harbour of Eve")
    result = await services_of(app).llm.tools.call("search_notes", arguments, ADA)

    assert result.failed
    assert "Eve" not in result.text


async def test_a_caller_without_the_scope(app: FastAPI) -> None:
    """A token for the assistant alone cannot read notes through it."""
    caller = Caller("ada", frozenset({"assistant:write"}))
    await write(app, ADA, "Harbour")
    tools = services_of(app).llm.tools
    result = await tools.call("search_notes", {"query": "harbour"}, caller)

    assert result.failed
    assert "search_notes" not in json.dumps(tools.of(caller))
    assert "search_notes" in json.dumps(tools.of(ADA))
