"""Event streams end with their token."""

import json
import time
from collections.abc import Callable

import pytest

from keel.caller import GUEST, Caller, Verification, VerifiedCaller
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.testing.support import eventually
from keel.tests.widgets.api import EVENTS, create, events
from keel.web.errors import Forbidden

Expire = Callable[..., None]


@pytest.fixture
def expire(monkeypatch: pytest.MonkeyPatch) -> Expire:
    """Return a function that expires the streams' tokens at once, and sets the result of later verifications."""

    def run(*answers: VerifiedCaller | Exception) -> None:
        coming = iter(answers)

        async def again() -> VerifiedCaller:
            answer = next(coming)
            if isinstance(answer, Exception):
                raise answer
            return answer

        made = Verification(VerifiedCaller(GUEST, time.time()), again)
        monkeypatch.setattr("keel.web.event_stream.verification_of", lambda _: made)

    return run


async def test_stream_ends_with_its_token(server: Server, expire: Expire) -> None:
    """The last event is a problem document with the reason, and the subscription ends."""
    expire(VerifiedCaller(GUEST, time.time()), Forbidden("Not any more."))
    async with server.client() as client:
        await sign_in(client)
        async with client.stream("GET", EVENTS) as answer:
            (event,) = [event async for event in events(answer)]

    assert event["event"] == "closed"
    problem = json.loads(event["data"])
    assert (problem["status"], problem["detail"]) == (403, "Not any more.")
    await eventually(lambda: services_of(server.app).pubsub.listeners == 0)


async def test_stream_ends_if_the_tokens_subject_changes(server: Server, expire: Expire) -> None:
    """A subject's events are not sent to another one."""
    expire(VerifiedCaller(Caller("eve")))
    async with server.client() as client:
        await sign_in(client)
        async with client.stream("GET", EVENTS) as answer:
            (event,) = [event async for event in events(answer)]

    assert json.loads(event["data"])["type"] == "urn:problem:token-subject-mismatch"


async def test_stream_continues_while_its_token_is_valid(server: Server, expire: Expire) -> None:
    """A token that is verified again and still valid does not end the stream."""
    expire(VerifiedCaller(GUEST, time.time()), VerifiedCaller(GUEST))
    async with server.client() as client:
        await sign_in(client)
        async with client.stream("GET", EVENTS) as answer:
            widget = await create(client)
            heard = await anext(events(answer))

    assert heard["event"] == "created"
    assert json.loads(heard["data"])["id"] == widget["id"]
