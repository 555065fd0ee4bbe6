"""PubSub between processes; each `RedisPubSub` here is what one process has."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from keel.background.asyncio_tasks import stop
from keel.messaging.pubsub import HistoryLost
from keel.redis.client import Client, connect
from keel.redis.link import Link
from keel.redis.pubsub import BREAK, PUBLISH, RedisPubSub
from keel.redis.settings import RedisSettings
from keel.testing.support import PATIENCE, eventually
from keel.tests.messaging.pubsub_contract import MakePubSub, PubSubContract, published
from keel.tests.redis.fixtures import OWN
from keel.tests.redis.server import Server


@pytest.fixture
async def make_pubsub(link: Link) -> AsyncIterator[Callable[..., RedisPubSub]]:
    """Return what makes a pubsub that is listening."""
    tasks = []

    def make(**options: int) -> RedisPubSub:
        pubsub = RedisPubSub(link, prefix=OWN, **options)
        tasks.append(asyncio.create_task(pubsub.reader.run()))
        return pubsub

    yield make
    await stop(*tasks)


class TestRedisPubSub(PubSubContract):
    """The contract, kept by the shared one."""


async def test_processes_hear_each_other(make_pubsub: MakePubSub) -> None:
    """Everybody hears everything in one order, and resumes in any process."""
    here, there = make_pubsub(), make_pubsub()
    async with here.subscribe("a") as first, there.subscribe("a") as second:
        await asyncio.gather(*(process.publish("a", "event", str(i)) for i in range(20) for process in (here, there)))
        heard = [await anext(first) for _ in range(40)]

        assert [await anext(second) for _ in range(40)] == heard
    async with there.subscribe("a", after=heard[10].id) as resumed:
        assert [await anext(resumed) for _ in range(29)] == heard[11:]


async def test_lost_notifications_are_made_up_for(make_pubsub: MakePubSub, redis: Redis, link: Link) -> None:
    """What was published but not heard is read from the stream: when the next message comes, or with the next beat."""
    pubsub = make_pubsub()
    assert isinstance(pubsub, RedisPubSub)
    async with pubsub.subscribe("a") as listener:
        await pubsub.publish("a", "event", "1")
        await anext(listener)
        # As if the connection had swallowed it.
        heard, pubsub.reader._heard = pubsub.reader._heard, _ignore
        await pubsub.publish("a", "event", "2")
        await asyncio.sleep(0.05)
        pubsub.reader._heard = heard
        await pubsub.publish("a", "event", "3")
        assert [(await anext(listener)).data for _ in range(2)] == ["2", "3"]

        pubsub.reader._heard = _ignore
        await pubsub.publish("a", "event", "4")
        await pubsub.catch_up()
        assert (await anext(listener)).data == "4"


async def _ignore(channel: str, payload: str) -> None:
    """Hear nothing."""


async def test_lost_connection_is_replaced(own_server: Server) -> None:
    """A listener notices nothing of a broken connection, not even of what was published meanwhile."""
    link = Link(connect(RedisSettings.model_validate({"url": own_server.url})), timeout=PATIENCE)
    link.open()
    pubsub = RedisPubSub(link, prefix=OWN)
    reading = asyncio.create_task(pubsub.reader.run())
    async with pubsub.subscribe("a") as listener:
        await pubsub.publish("a", "event", "1")
        assert (await anext(listener)).data == "1"
        with own_server.client() as client:
            # On a server of our own, since it is everybody's connection that breaks.
            assert client.client_kill_filter(_type="pubsub") == 1
        await pubsub.publish("a", "event", "2")

        async with asyncio.timeout(PATIENCE):
            assert (await anext(listener)).data == "2"
    await stop(reading)
    await link.close()


async def test_lost_data_is_told(make_pubsub: MakePubSub, redis: Redis) -> None:
    """If the server forgets the topic, those who listen and those who resume are told to start afresh."""
    pubsub = make_pubsub()
    assert isinstance(pubsub, RedisPubSub)
    (message,) = await published(pubsub, "1")
    async with pubsub.subscribe("a", after=message.id) as listener:
        redis.unlink(f"{OWN}topic:a")
        await pubsub.catch_up()

        with pytest.raises(HistoryLost):
            await anext(listener)
    with pytest.raises(HistoryLost):
        async with pubsub.subscribe("a", after=message.id):
            pass


async def test_what_is_lost_while_losses_are_told(
    make_pubsub: MakePubSub, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listeners are told of a message that could not be sent, also if they were just being told of others."""
    pubsub = make_pubsub()
    late = ["late"]

    async def publish(client: Client, *arguments: Any) -> object:
        if "first" in arguments:
            raise RedisConnectionError
        answer = await PUBLISH(client, *arguments)
        if arguments[-1] == BREAK and late:
            await pubsub.publish("a", "event", late.pop())
        return answer

    def told() -> int:
        entries: Any = redis.xrange(f"{OWN}topic:a")
        return sum(fields[b"before"] == BREAK.encode() for _, fields in entries)

    monkeypatch.setattr("keel.redis.pubsub.PUBLISH", publish)
    await pubsub.publish("a", "event", "first")

    await eventually(lambda: told() == 2)


async def test_history_expires(make_pubsub: MakePubSub, redis: Redis) -> None:
    """Topics that nobody uses take up no memory for ever; those that somebody listens to stay."""
    pubsub = make_pubsub(history_seconds=100)
    assert isinstance(pubsub, RedisPubSub)
    await published(pubsub, "1")
    async with pubsub.subscribe("a"):
        redis.pexpire(f"{OWN}topic:a", 50_000)
        await pubsub.catch_up()

        assert 50 < redis.ttl(f"{OWN}topic:a") <= 100
