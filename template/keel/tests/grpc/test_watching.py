"""Following changes over gRPC."""

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2
from keel.caller import GUEST, Caller, VerifiedCaller
from keel.grpc import callers
from keel.messaging.pubsub import Backlog, SubscriberTooSlow
from keel.services import services_of
from keel.testing.support import connections_in_use
from keel.tests.grpc.support import Notes, Refusal, no_listeners, refusal
from keel.web.errors import Forbidden
from tests.examples.notes.api import NOTES, create


async def end_of(watching: Any) -> Refusal:
    """Return how a stream ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while await watching.read():
            pass
    return refusal(caught.value)


@pytest.fixture
async def watching(app: FastAPI, notes: Notes) -> AsyncIterator[Any]:
    """Return a stream of changes; what a test leaves of it is ended."""
    call = await notes.watch()
    yield call
    call.cancel()
    await no_listeners(app)


async def test_changes_are_heard_in_order(watching: Any, notes: Notes, client: AsyncClient) -> None:
    """Whichever protocol they are made by, each with the note."""
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


async def test_resuming(app: FastAPI, watching: Any, notes: Notes) -> None:
    """After a lost connection, listening goes on with what was missed."""
    await notes.create("seen")
    token = (await watching.read()).resume_token
    watching.cancel()
    await notes.create("missed")
    again = await notes.watch(token)

    assert (await again.read()).note.title == "missed"
    again.cancel()
    await no_listeners(app)


async def test_resuming_after_something_unknown(app: FastAPI, notes: Notes) -> None:
    """Who cannot be told what was missed is told to start afresh, and then hears what comes."""
    watching = await notes.watch("of another process")
    await notes.create("next")

    assert await watching.read() == notes_pb2.WatchNotesResponse(event=notes_pb2.NOTE_EVENT_RESET)
    assert (await watching.read()).note.title == "next"
    watching.cancel()
    await no_listeners(app)


async def test_a_slow_reader_may_come_back(
    app: FastAPI, watching: Any, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot keep up is told so by a code after which clients call again."""
    monkeypatch.setattr(Backlog, "put", lambda backlog, _: backlog.fail(SubscriberTooSlow()))
    await notes.create()

    assert (await end_of(watching)).code is grpc.StatusCode.UNAVAILABLE


async def test_nothing_is_held(app: FastAPI, watching: Any) -> None:
    """A thousand listeners leave the pool alone, and nothing is kept for who has left."""
    assert connections_in_use(services_of(app).database) == 0
    assert services_of(app).pubsub.listeners == 1
    watching.cancel()
    await no_listeners(app)


async def test_streams_end_with_what_allows_them(app: FastAPI, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a token has run out it is looked at again; a stream whose caller is no longer known ends with that."""
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

    monkeypatch.setattr(callers, "verify_caller", verify_caller)
    ended = await end_of(await notes.watch())

    assert (ended.code, ended.message) == (grpc.StatusCode.PERMISSION_DENIED, "Not any more.")
    assert answers == []
    await no_listeners(app)


async def test_streams_stay_with_their_caller(app: FastAPI, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that stands for somebody else by now ends the stream."""
    identities = [VerifiedCaller(GUEST, time.time()), VerifiedCaller(Caller("eve"))]

    async def verify_caller(*_: object) -> VerifiedCaller:
        return identities.pop(0)

    monkeypatch.setattr(callers, "verify_caller", verify_caller)

    assert (await end_of(await notes.watch())).reason == "TOKEN_SUBJECT_MISMATCH"
    await no_listeners(app)
