"""Broadcast between processes; each `RedisBroadcast` here is what one process has."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.core.broadcast import HistoryLost
from app.core.tasks import stop
from app.redis.broadcast import BREAK, PUBLISH, RedisBroadcast
from app.redis.client import Client, connect
from app.redis.link import Link
from app.redis.settings import RedisSettings
from tests.core.broadcast_contract import BroadcastContract, MakeBroadcast, published
from tests.redis.fixtures import OWN
from tests.redis.server import Server
from tests.support import PATIENCE, eventually


@pytest.fixture
async def make_broadcast(link: Link) -> AsyncIterator[Callable[..., RedisBroadcast]]:
    """Return what makes a broadcast that is listening."""
    tasks = []

    def make(**options: int) -> RedisBroadcast:
        broadcast = RedisBroadcast(link, prefix=OWN, **options)
        tasks.append(asyncio.create_task(broadcast.reader.run()))
        return broadcast

    yield make
    await stop(*tasks)


class TestRedisBroadcast(BroadcastContract):
    """The contract, kept by the shared one."""


async def test_processes_hear_each_other(make_broadcast: MakeBroadcast) -> None:
    """Everybody hears everything in one order, and resumes in any process."""
    here, there = make_broadcast(), make_broadcast()
    async with here.subscribe("a") as first, there.subscribe("a") as second:
        await asyncio.gather(*(process.publish("a", "event", str(i)) for i in range(20) for process in (here, there)))
        heard = [await anext(first) for _ in range(40)]

        assert [await anext(second) for _ in range(40)] == heard
    async with there.subscribe("a", after=heard[10].id) as resumed:
        assert [await anext(resumed) for _ in range(29)] == heard[11:]


async def test_lost_notifications_are_made_up_for(make_broadcast: MakeBroadcast, redis: Redis, link: Link) -> None:
    """What was published but not heard is read from the stream: when the next message comes, or with the next beat."""
    broadcast = make_broadcast()
    assert isinstance(broadcast, RedisBroadcast)
    async with broadcast.subscribe("a") as listener:
        await broadcast.publish("a", "event", "1")
        await anext(listener)
        # As if the connection had swallowed it.
        heard, broadcast.reader._heard = broadcast.reader._heard, _ignore
        await broadcast.publish("a", "event", "2")
        await asyncio.sleep(0.05)
        broadcast.reader._heard = heard
        await broadcast.publish("a", "event", "3")
        assert [(await anext(listener)).data for _ in range(2)] == ["2", "3"]

        broadcast.reader._heard = _ignore
        await broadcast.publish("a", "event", "4")
        await broadcast.catch_up()
        assert (await anext(listener)).data == "4"


async def _ignore(channel: str, payload: str) -> None:
    """Hear nothing."""


async def test_lost_connection_is_replaced(own_server: Server) -> None:
    """A listener notices nothing of a broken connection, not even of what was published meanwhile."""
    link = Link(connect(RedisSettings.model_validate({"url": own_server.url})), timeout=PATIENCE)
    link.open()
    broadcast = RedisBroadcast(link, prefix=OWN)
    reading = asyncio.create_task(broadcast.reader.run())
    async with broadcast.subscribe("a") as listener:
        await broadcast.publish("a", "event", "1")
        assert (await anext(listener)).data == "1"
        with own_server.client() as client:
            # On a server of our own, since it is everybody's connection that breaks.
            assert client.client_kill_filter(_type="pubsub") == 1
        await broadcast.publish("a", "event", "2")

        async with asyncio.timeout(PATIENCE):
            assert (await anext(listener)).data == "2"
    await stop(reading)
    await link.close()


async def test_lost_data_is_told(make_broadcast: MakeBroadcast, redis: Redis) -> None:
    """If the server forgets the topic, those who listen and those who resume are told to start afresh."""
    broadcast = make_broadcast()
    assert isinstance(broadcast, RedisBroadcast)
    (message,) = await published(broadcast, "1")
    async with broadcast.subscribe("a", after=message.id) as listener:
        redis.unlink(f"{OWN}topic:a")
        await broadcast.catch_up()

        with pytest.raises(HistoryLost):
            await anext(listener)
    with pytest.raises(HistoryLost):
        async with broadcast.subscribe("a", after=message.id):
            pass


async def test_what_is_lost_while_losses_are_told(
    make_broadcast: MakeBroadcast, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listeners are told of a message that could not be sent, also if they were just being told of others."""
    broadcast = make_broadcast()
    late = ["late"]

    async def publish(client: Client, *arguments: Any) -> object:
        if "first" in arguments:
            raise RedisConnectionError
        answer = await PUBLISH(client, *arguments)
        if arguments[-1] == BREAK and late:
            await broadcast.publish("a", "event", late.pop())
        return answer

    def told() -> int:
        entries: Any = redis.xrange(f"{OWN}topic:a")
        return sum(fields[b"before"] == BREAK.encode() for _, fields in entries)

    monkeypatch.setattr("app.redis.broadcast.PUBLISH", publish)
    await broadcast.publish("a", "event", "first")

    await eventually(lambda: told() == 2)


async def test_history_expires(make_broadcast: MakeBroadcast, redis: Redis) -> None:
    """Topics that nobody uses take up no memory for ever; those that somebody listens to stay."""
    broadcast = make_broadcast(history_seconds=100)
    assert isinstance(broadcast, RedisBroadcast)
    await published(broadcast, "1")
    async with broadcast.subscribe("a"):
        redis.pexpire(f"{OWN}topic:a", 50_000)
        await broadcast.catch_up()

        assert 50 < redis.ttl(f"{OWN}topic:a") <= 100
