"""`WatchNotes`: changes as a stream."""

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2
from keel.caller import GUEST, VerifiedCaller
from keel.grpc import auth
from keel.services import services_of
from keel.testing.support import connections_in_use, eventually
from keel.tests.grpc.support import end_of, no_listeners
from keel.web.errors import Forbidden
from tests.examples.notes.api import NOTES, create
from tests.examples.notes.grpc.support import Notes


@pytest.fixture
async def watching(app: FastAPI, notes: Notes) -> AsyncIterator[Any]:
    """Return a stream of changes; what a test leaves of it is ended."""
    call = await notes.watch()
    yield call
    call.cancel()
    await no_listeners(app)


async def test_changes_are_streamed_in_order(watching: Any, notes: Notes, client: AsyncClient) -> None:
    """Whichever protocol made them, each with the note."""
    note = await create(client, title="made by HTTP")
    await notes.update(note["id"], title="changed by gRPC")
    await client.delete(f"{NOTES}/{note['id']}")
    heard = [await watching.read() for _ in range(3)]

    assert [each.event for each in heard] == [
        notes_pb2.NOTE_EVENT_CREATED,
        notes_pb2.NOTE_EVENT_UPDATED,
        notes_pb2.NOTE_EVENT_DELETED,
    ]
    assert {each.note.id for each in heard} == {note["id"]}
    assert [each.note.title for each in heard] == ["made by HTTP", "changed by gRPC", "changed by gRPC"]


async def test_stream_can_be_resumed(app: FastAPI, watching: Any, notes: Notes) -> None:
    """After a lost connection, the stream continues with the missed changes."""
    await notes.create("seen")
    token = (await watching.read()).resume_token
    watching.cancel()
    await notes.create("missed")
    again = await notes.watch(token)

    assert (await again.read()).note.title == "missed"
    again.cancel()
    await no_listeners(app)


async def test_unknown_resume_token_resets(app: FastAPI, notes: Notes) -> None:
    """A client whose missed changes are no longer known is told to list again, then gets new changes."""
    watching = await notes.watch("of another process")
    await notes.create("next")

    assert await watching.read() == notes_pb2.WatchNotesResponse(event=notes_pb2.NOTE_EVENT_RESET)
    assert (await watching.read()).note.title == "next"
    watching.cancel()
    await no_listeners(app)


async def test_stream_holds_no_connection(app: FastAPI, watching: Any) -> None:
    """It holds no database connection, and its subscription ends with it."""
    await eventually(lambda: connections_in_use(services_of(app).database) == 0)
    assert services_of(app).pubsub.listeners == 1
    watching.cancel()
    await no_listeners(app)


async def test_stream_ends_with_its_token(app: FastAPI, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the token expires it is verified again; the stream ends with the error."""
    answers = [
        VerifiedCaller(GUEST, time.time()),
        VerifiedCaller(GUEST, time.time()),
        Forbidden("Not any more."),
    ]

    async def verify_caller(*_: object) -> VerifiedCaller:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(auth, "verify_caller", verify_caller)
    ended = await end_of(await notes.watch())

    assert (ended.code, ended.message) == (grpc.StatusCode.PERMISSION_DENIED, "Not any more.")
    assert answers == []
    await no_listeners(app)
