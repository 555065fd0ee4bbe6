"""Streams end with their callers, readers and subscriptions."""

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fastapi import FastAPI

from keel.caller import GUEST, Caller, VerifiedCaller
from keel.grpc import auth
from keel.messaging.pubsub import Backlog, SubscriberTooSlow
from keel.services import services_of
from keel.testing.support import connections_in_use, eventually
from keel.tests.grpc.support import Widgets, end_of, no_listeners
from keel.web.errors import Forbidden


@pytest.fixture
async def watching(app: FastAPI, widgets: Widgets) -> AsyncIterator[Any]:
    """Return a stream of new widgets, which is closed after the test."""
    call = await widgets.watch()
    yield call
    call.cancel()
    await no_listeners(app)


async def test_stream_holds_no_connection(app: FastAPI, watching: Any) -> None:
    """It holds no database connection, and its subscription ends with it."""
    await eventually(lambda: connections_in_use(services_of(app).database) == 0)
    assert services_of(app).pubsub.listeners == 1
    watching.cancel()
    await no_listeners(app)


async def test_slow_reader_is_disconnected(watching: Any, widgets: Widgets, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream ends with a code on which clients retry."""
    monkeypatch.setattr(Backlog, "put", lambda backlog, _: backlog.fail(SubscriberTooSlow()))
    await widgets.create()

    assert (await end_of(watching)).code is grpc.StatusCode.UNAVAILABLE


async def test_stream_ends_with_its_token(app: FastAPI, widgets: Widgets, monkeypatch: pytest.MonkeyPatch) -> None:
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
    ended = await end_of(await widgets.watch())

    assert (ended.code, ended.message) == (grpc.StatusCode.PERMISSION_DENIED, "Not any more.")
    assert answers == []
    await no_listeners(app)


async def test_stream_ends_if_the_tokens_subject_changes(
    app: FastAPI, widgets: Widgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is token-subject-mismatch."""
    identities = [VerifiedCaller(GUEST, time.time()), VerifiedCaller(Caller("eve"))]

    async def verify_caller(*_: object) -> VerifiedCaller:
        return identities.pop(0)

    monkeypatch.setattr(auth, "verify_caller", verify_caller)

    assert (await end_of(await widgets.watch())).reason == "TOKEN_SUBJECT_MISMATCH"
    await no_listeners(app)


async def test_one_stream_too_many(app: FastAPI, widgets: Widgets) -> None:
    """A caller's streams are limited as over HTTP; open ones continue, and one that ends makes room."""
    allowed = services_of(app).settings.streams_per_caller
    calls = [await widgets.watch() for _ in range(allowed)]
    refused = await end_of(await widgets.watch())

    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert services_of(app).pubsub.listeners == allowed
    for call in calls:
        call.cancel()
    await no_listeners(app)
    again = await widgets.watch()
    again.cancel()
    await no_listeners(app)
