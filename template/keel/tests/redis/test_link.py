"""The link: an outage costs a short wait, once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from keel.redis.client import Client, connect
from keel.redis.link import Link, RedisAway
from keel.redis.settings import RedisSettings
from keel.testing.support import PATIENCE, eventually
from keel.tests.redis.server import Server

TIMEOUT = 0.5
CALLERS = 400


@pytest.fixture
async def link(own_server: Server) -> AsyncIterator[Link]:
    """Return a link to a server that may be paused and killed."""
    settings = RedisSettings.model_validate({"url": own_server.url, "pool_size": 4})
    link = Link(connect(settings), timeout=settings.timeout, pauses=(0.01, 0.02))
    link.open()
    yield link
    await link.close()


async def back(link: Link) -> None:
    """Wait until commands are tried again."""
    await eventually(lambda: not link.away)


async def test_server_that_does_not_answer(own_server: Server) -> None:
    """However many wait, each waits only so long; who comes after that does not wait at all. Then all is well again."""
    # The client waits no longer, either: before Python 3.12 it may not hear that it was cancelled.
    settings = RedisSettings.model_validate({"url": own_server.url, "pool_size": 4, "timeout": TIMEOUT})
    link = Link(connect(settings), timeout=TIMEOUT, pauses=(0.01, 0.02))
    link.open()
    own_server.pause()
    started = time.monotonic()
    outcomes = await asyncio.gather(*(link.ping() for _ in range(CALLERS)), return_exceptions=True)
    waited = time.monotonic() - started
    with pytest.raises(RedisAway):
        # As far as it comes without waiting for anything.
        link.ping().send(None)
    own_server.resume()

    assert {type(outcome) for outcome in outcomes} == {RedisAway}
    # As many as there are connections at a time, they would have waited for 100 times as long.
    assert waited < 50 * TIMEOUT
    await back(link)
    await link.close()


async def test_server_that_is_killed(link: Link, own_server: Server) -> None:
    """A crash is noticed at once and the return too; nothing has to be restarted."""
    away = []

    async def catch_up() -> None:
        away.append(link.away)
        await link.now(lambda client: client.set("caught", "up"))

    link.on_return(catch_up)
    await link.ping()
    own_server.kill()
    with pytest.raises(RedisAway):
        await link.ping()
    assert link.away
    own_server.start()
    await back(link)

    assert away[0]
    assert await link.run(lambda client: client.get("caught")) == b"up"


async def test_what_is_refused_while_others_catch_up(link: Link) -> None:
    """It is made up for as well: who comes in this moment is refused, and nobody would think of it until the next outage."""
    owed, made_up = ["first"], []

    async def breaking(_: Client) -> None:
        raise RedisConnectionError

    async def catch_up() -> None:
        while owed:
            made_up.append(owed.pop())
            await link.now(lambda client: client.ping())
        if link.away:
            with pytest.raises(RedisAway):
                await link.ping()
            owed.append("last")

    link.on_return(catch_up)
    with pytest.raises(RedisAway):
        await link.run(breaking)

    await eventually(lambda: "last" in made_up and not owed)


async def test_restart_between_two_commands_is_not_noticed(link: Link, own_server: Server) -> None:
    """Pooled connections that the server has closed are replaced."""
    await asyncio.gather(*(link.ping() for _ in range(4)))
    own_server.kill()
    own_server.start()

    await link.ping()
    assert not link.away


async def test_connection_that_is_closed_as_something_is_sent(link: Link, own_server: Server) -> None:
    """There is an error of its own for that in uvloop; others of the kind are faults of ours."""
    pytest.importorskip("uvloop")
    tries = 0

    async def cut_off(_: Client) -> None:
        nonlocal tries
        tries += 1
        _reader, writer = await asyncio.open_connection("127.0.0.1", own_server.port)
        writer.transport.abort()
        await writer.wait_closed()
        writer.writelines([b"PING"])

    async def faulty(_: Client) -> None:
        raise RuntimeError("Something else.")

    with pytest.raises(RuntimeError):
        await link.run(faulty)
    assert not link.away
    with pytest.raises(RedisAway):
        await link.run(cut_off)
    assert tries == 3
    await back(link)


async def test_what_must_not_be_done_twice_is_tried_once(link: Link) -> None:
    """If the connection breaks halfway, nobody knows what was done: it is repeated only where that does no harm."""
    tries = 0

    async def breaking(_: Client) -> None:
        nonlocal tries
        tries += 1
        raise RedisConnectionError

    for repeat, expected in [(False, 1), (True, 3)]:
        tries = 0
        with pytest.raises(RedisAway):
            await link.run(breaking, repeat=repeat)
        assert tries == expected
        await back(link)


async def test_full_server(link: Link) -> None:
    """A server that has no room left refuses to write, and is still there to read from."""
    await link.run(lambda client: client.set("a", "b"))
    await link.run(lambda client: client.config_set("maxmemory", 1))
    with pytest.raises(RedisAway):
        await link.run(lambda client: client.set("a", "c"))

    assert not link.away
    assert await link.run(lambda client: client.get("a")) == b"b"


async def test_refused_command(link: Link) -> None:
    """What the server will not do is logged, and the caller does without."""
    with pytest.raises(RedisAway):
        await link.run(lambda client: client.execute_command("NO-SUCH-COMMAND"))

    assert not link.away


async def test_more_commands_than_connections(own_server: Server) -> None:
    """The pool is bounded; commands wait their turn."""
    settings = RedisSettings.model_validate({"url": own_server.url, "pool_size": 4})
    link = Link(connect(settings), timeout=settings.timeout)
    link.open()
    assert await asyncio.gather(*(link.run(lambda client: client.echo("x")) for _ in range(50))) == [b"x"] * 50
    clients = await link.run(lambda client: client.client_list())
    await link.close()
    assert len(clients) <= 5


async def test_cancelled_caller(link: Link) -> None:
    """Whoever is cancelled ends, also where the client swallows that, as it may before Python 3.12."""

    async def swallowing(_: Client) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def work() -> None:
        await link.run(swallowing)
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)

    assert task.cancelled()
    await link.ping()


async def test_closed_link(link: Link) -> None:
    """After the shutdown nothing is tried, and it may be opened again."""
    await link.close()
    with pytest.raises(RedisAway):
        await link.ping()
    link.open()
    await link.ping()


async def test_closing_while_the_server_is_away(link: Link, own_server: Server) -> None:
    """A shutdown does not wait for a server that is not there."""
    own_server.kill()
    with pytest.raises(RedisAway):
        await link.ping()
    await link.close()
