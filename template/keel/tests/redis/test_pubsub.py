"""Pub/sub between processes; each `RedisPubSub` represents one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from keel.background.asyncio_tasks import stop
from keel.messaging.pubsub import HistoryLost
from keel.redis.client import Client, connect
from keel.redis.connection import Command, GuardedConnection
from keel.redis.pubsub import GAP, PUBLISH, RedisPubSub
from keel.redis.settings import RedisSettings
from keel.testing.support import PATIENCE, eventually
from keel.tests.messaging.pubsub_contract import MakePubSub, PubSubContract, published
from keel.tests.redis.fixtures import OWN
from keel.tests.redis.server import Server


@pytest.fixture
async def make_pubsub(connection: GuardedConnection) -> AsyncIterator[Callable[..., RedisPubSub]]:
    """Return a function that makes a `RedisPubSub` with a running reader."""
    tasks = []

    def make(**options: int) -> RedisPubSub:
        pubsub = RedisPubSub(connection, prefix=OWN, **options)
        tasks.append(asyncio.create_task(pubsub.reader.run()))
        return pubsub

    yield make
    await stop(*tasks)


class TestRedisPubSub(PubSubContract):
    """`RedisPubSub` fulfils the contract."""


async def test_messages_reach_all_processes(make_pubsub: MakePubSub) -> None:
    """All subscribers see the same order, and can resume in any process."""
    here, there = make_pubsub(), make_pubsub()
    async with here.subscribe("a") as first, there.subscribe("a") as second:
        await asyncio.gather(*(process.publish("a", "event", str(i)) for i in range(20) for process in (here, there)))
        heard = [await anext(first) for _ in range(40)]

        assert [await anext(second) for _ in range(40)] == heard
    async with there.subscribe("a", after=heard[10].id) as resumed:
        assert [await anext(resumed) for _ in range(29)] == heard[11:]


async def test_lost_notifications_are_recovered(
    make_pubsub: MakePubSub, redis: Redis, connection: GuardedConnection
) -> None:
    """Missed messages are read from the stream: at the next message, or at the next heartbeat."""
    pubsub = make_pubsub()
    assert isinstance(pubsub, RedisPubSub)
    async with pubsub.subscribe("a") as listener:
        await pubsub.publish("a", "event", "1")
        await anext(listener)
        # As if the notification was lost.
        handler, pubsub.reader._on_message = pubsub.reader._on_message, _ignore
        await pubsub.publish("a", "event", "2")
        await asyncio.sleep(0.05)
        pubsub.reader._on_message = handler
        await pubsub.publish("a", "event", "3")
        assert [(await anext(listener)).data for _ in range(2)] == ["2", "3"]

        pubsub.reader._on_message = _ignore
        await pubsub.publish("a", "event", "4")
        await pubsub.catch_up()
        assert (await anext(listener)).data == "4"


async def _ignore(channel: str, payload: str) -> None:
    """Ignore a message."""


async def test_lost_connection_is_replaced(own_server: Server) -> None:
    """A subscriber misses nothing when the connection breaks, including messages published meanwhile."""
    connection = GuardedConnection(connect(RedisSettings.model_validate({"url": own_server.url})), timeout=PATIENCE)
    connection.open()
    pubsub = RedisPubSub(connection, prefix=OWN)
    reading = asyncio.create_task(pubsub.reader.run())
    async with pubsub.subscribe("a") as listener:
        await pubsub.publish("a", "event", "1")
        assert (await anext(listener)).data == "1"
        with own_server.client() as client:
            # On a server of its own: this breaks the connections of all clients.
            assert client.client_kill_filter(_type="pubsub") == 1
        await pubsub.publish("a", "event", "2")

        async with asyncio.timeout(PATIENCE):
            assert (await anext(listener)).data == "2"
    await stop(reading)
    await connection.close()


async def test_lost_stream_resets_subscribers(make_pubsub: MakePubSub, redis: Redis) -> None:
    """If the stream is deleted, subscribers and resuming clients get HistoryLost."""
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


async def test_message_lost_while_gaps_are_published(
    make_pubsub: MakePubSub, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message lost while a gap is being published causes another gap."""
    late = ["late"]

    def make() -> RedisPubSub:
        monkeypatch.setattr("keel.redis.pubsub.PUBLISH", publish)
        made = make_pubsub()
        assert isinstance(made, RedisPubSub)
        return made

    async def publish(client: Client, *arguments: Any) -> object:
        if "first" in arguments:
            raise RedisConnectionError
        answer = await PUBLISH(client, *arguments)
        if arguments[-1] == GAP and late:
            await pubsub.publish("a", "event", late.pop())
        return answer

    def gaps() -> int:
        entries: Any = redis.xrange(f"{OWN}topic:a")
        return sum(fields[b"before"] == GAP.encode() for _, fields in entries)

    pubsub = make()
    await pubsub.publish("a", "event", "first")

    await eventually(lambda: gaps() == 2)


async def test_messages_share_round_trips(
    make_pubsub: MakePubSub, connection: GuardedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages published while Redis is slow are sent together, in order; draining includes cancelled callers'."""
    pubsub, run, trips, slow = make_pubsub(), connection.run, [], asyncio.Event()
    assert isinstance(pubsub, RedisPubSub)

    async def counted(command: Command[Any], *, idempotent: bool = True) -> Any:
        trips.append(command)
        await slow.wait()
        return await run(command, idempotent=idempotent)

    async with pubsub.subscribe("a") as listener:
        monkeypatch.setattr(connection, "run", counted)
        publishing = [asyncio.create_task(pubsub.publish("a", "event", str(number))) for number in range(100)]
        await eventually(lambda: trips)
        assert not any(task.done() for task in publishing)
        publishing[-1].cancel()
        slow.set()
        await pubsub.drain()
        await asyncio.gather(*publishing[:-1])

        assert len(trips) <= 2
        assert [(await anext(listener)).data for _ in range(100)] == [str(number) for number in range(100)]


async def test_full_queue_is_reported(make_pubsub: MakePubSub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded; subscribers learn of dropped messages, even if Redis was never unavailable."""
    monkeypatch.setattr("keel.redis.outbound.MAX_WAITING", 3)
    pubsub = make_pubsub()
    assert isinstance(pubsub, RedisPubSub)
    async with pubsub.subscribe("a") as listener:
        await asyncio.gather(*(pubsub.publish("a", "event", str(number)) for number in range(5)))
        assert [(await anext(listener)).data for _ in range(3)] == ["0", "1", "2"]
        await pubsub.catch_up()

        with pytest.raises(HistoryLost):
            await anext(listener)


async def test_history_expires(make_pubsub: MakePubSub, redis: Redis) -> None:
    """Unused topics expire; topics with subscribers stay."""
    pubsub = make_pubsub(history_seconds=100)
    assert isinstance(pubsub, RedisPubSub)
    await published(pubsub, "1")
    async with pubsub.subscribe("a"):
        redis.pexpire(f"{OWN}topic:a", 50_000)
        await pubsub.catch_up()

        assert 50 < redis.ttl(f"{OWN}topic:a") <= 100
