"""Limits on open streams, per caller and per process, and on what is queued for their readers."""

import asyncio
from contextlib import AsyncExitStack, ExitStack

import pytest
from fastapi import Depends
from httpx2 import ASGITransport, AsyncClient

from keel.application import new_app
from keel.messaging import pubsub
from keel.messaging.pubsub import HistoryLost, InProcessPubSub, SubscriberTooSlow
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.testing.support import eventually, running
from keel.tests.widgets.api import EVENTS
from keel.web.concurrency import ConcurrencyLimit, limit_concurrency
from keel.web.errors import TooManyRequests, Unavailable


def test_streams_per_caller() -> None:
    """A caller at the limit gets no further stream until one ends; other callers do."""
    streams = ConcurrencyLimit("streams", per_caller=1, total=10)
    with streams.counted("ada"):
        with pytest.raises(TooManyRequests), streams.counted("ada"):
            pytest.fail("one stream too many")
        with streams.counted("eve"):
            pass
    with streams.counted("ada"):
        pass


def test_streams_per_process() -> None:
    """The total over all callers is limited, too."""
    streams = ConcurrencyLimit("streams", per_caller=5, total=2)
    with streams.counted("ada"), streams.counted("bob"), pytest.raises(Unavailable), streams.counted("eve"):
        pytest.fail("one stream too many")
    with streams.counted("eve"):
        pass


def test_networks_of_one_site() -> None:
    """An IPv6 site has 65,536 networks, but gets at most half of the process's streams."""
    streams = ConcurrencyLimit("streams", per_caller=2, total=8)
    networks = [f"2001:0db8:0001:{number:04x}" for number in range(5)]
    with ExitStack() as stack:
        for network in networks[:4]:
            stack.enter_context(streams.counted(network))
        with pytest.raises(TooManyRequests), streams.counted(networks[4]):
            pytest.fail("one stream too many")
        with streams.counted("2001:0db8:0002:0000"):
            pass
    with streams.counted(networks[4]):
        pass


async def test_calls_of_one_operation(environment: None) -> None:
    """Concurrent calls of an operation are limited per caller and in total; a finished one makes room."""
    app, may_end, begun = new_app(), asyncio.Event(), list[str]()

    @app.get("/slow", dependencies=[Depends(limit_concurrency("calls", per_caller=2, total=3), scope="function")])
    async def slow() -> None:
        begun.append("slow")
        await may_end.wait()

    async with running(app) as client:
        others = [
            AsyncClient(transport=ASGITransport(app, client=(f"192.0.2.{number}", 1)), base_url="http://test")
            for number in (2, 3)
        ]
        calls = [asyncio.create_task(caller.get("/slow")) for caller in (client, client, others[0])]
        await eventually(lambda: len(begun) == 3)
        refused = [await caller.get("/slow") for caller in (client, others[1])]
        may_end.set()

        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in refused] == [(429, "2"), (503, "2")]
        assert [(await call).status_code for call in calls] == [200] * 3
        assert (await client.get("/slow")).status_code == 200


async def test_one_stream_too_many(server: Server) -> None:
    """It gets a problem document before anything is subscribed to; a stream that ends makes room."""
    services = services_of(server.app)
    allowed = services.settings.streams_per_caller
    async with server.client() as client, AsyncExitStack() as stack:
        await sign_in(client)
        for _ in range(allowed):
            answer = await stack.enter_async_context(client.stream("GET", EVENTS))
            assert answer.status_code == 200
        refused = await client.get(EVENTS)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert services.pubsub.listeners == allowed
    await eventually(lambda: services.pubsub.listeners == 0)
    async with server.client() as client:
        await sign_in(client)
        async with client.stream("GET", EVENTS) as answer:
            assert answer.status_code == 200


async def test_reader_queue_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few large messages fill a queue like many small ones; a single message is delivered however large it is."""
    monkeypatch.setattr(pubsub, "MAX_CHARACTERS", 100)
    messages = InProcessPubSub()
    async with messages.subscribe("a") as slow, messages.subscribe("a") as reading:
        await messages.publish("a", "event", "x" * 200)
        assert len((await anext(reading)).data) == 200
        for _ in range(3):
            await messages.publish("a", "event", "x" * 90)
            await anext(reading)

        with pytest.raises(SubscriberTooSlow):
            await anext(slow)


async def test_history_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history kept for resuming has the same limit as a reader's queue."""
    monkeypatch.setattr(pubsub, "MAX_CHARACTERS", 100)
    messages = InProcessPubSub()
    async with messages.subscribe("a") as reading:
        ids = []
        for _ in range(4):
            await messages.publish("a", "event", "x" * 40)
            ids.append((await anext(reading)).id)

    with pytest.raises(HistoryLost):
        async with messages.subscribe("a", after=ids[0]):
            pytest.fail("it was forgotten")
    async with messages.subscribe("a", after=ids[1]) as resumed:
        assert [len((await anext(resumed)).data) for _ in range(2)] == [40, 40]
