"""What is done to the system while it is used, one thing after another, and what clients may notice of each."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from tests.proof import assistant, grpc_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.proof.system import Api, System


@dataclass(frozen=True)
class Fault:
    """Something that happens, and the troubles that the documentation says clients may see of it."""

    name: str
    do: Callable[[System], Awaitable[None]]
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Window:
    """When it happened: until everything worked again."""

    fault: Fault
    begun: float
    ended: float


async def reload(system: System) -> None:
    """SIGHUP: new workers, then the old ones leave."""
    api = system.apis[0]
    old = {each.pid for each in api.family[1:]}
    api.reload()
    await _until(lambda: len({each.pid for each in api.family[1:]} - old) == 2 and not _alive(api, old))


async def kill_a_worker(system: System) -> None:
    """SIGKILL to one of the workers of a Gunicorn."""
    api = system.apis[1]
    ready = api.said("Application startup complete")
    os.kill(random.choice(api.family[1:]).pid, signal.SIGKILL)  # noqa: S311 - any will do
    await _until(lambda: api.said("Application startup complete") > ready)


async def rolling_restart(system: System) -> None:
    """SIGTERM to one Gunicorn after the other; a new one in its place before the next."""
    for api in system.apis:
        status = await api.end()
        if status != 0:
            raise RuntimeError(f"{api.name} ended with status {status}")
        await api.start()


async def kill_an_api(system: System) -> None:
    """SIGKILL to a Gunicorn and its workers."""
    await system.apis[0].crash()


async def restart_grpc_servers(system: System) -> None:
    """SIGTERM to one gRPC server after the other; a new one in its place before the next."""
    for server in system.grpc_servers:
        status = await server.end()
        if status != 0:
            raise RuntimeError(f"{server.name} ended with status {status}")
        await server.start()


async def kill_a_grpc_server(system: System) -> None:
    """SIGKILL to a gRPC server."""
    await system.grpc_servers[0].crash()


async def kill_the_worker(system: System) -> None:
    """SIGKILL to the worker and whatever tasks it does, of which one is a title."""
    database = await asyncpg.connect(system.postgresql.url)
    end = time.monotonic() + 60
    while not await assistant.titles_under_way(database):
        if time.monotonic() > end:
            raise RuntimeError("no title was made within a minute")
        await asyncio.sleep(0.05)
    await database.close()
    await system.worker.crash()


async def restart_the_worker(system: System) -> None:
    """SIGTERM to the worker, as an update does."""
    await system.worker.end()
    await system.worker.start()


async def kill_beat(system: System) -> None:
    """SIGKILL to beat."""
    await system.beat.crash()


async def kill_redis(system: System) -> None:
    """SIGKILL to the Redis that processes share; two seconds without it."""
    await system.redis.end(signal.SIGKILL)
    await asyncio.sleep(2)
    await system.redis.start()


async def kill_the_broker(system: System) -> None:
    """SIGKILL to the broker."""
    await system.broker.end(signal.SIGKILL)
    await asyncio.sleep(2)
    await system.broker.start()


async def kill_a_relay(system: System) -> None:
    """SIGKILL to a relay of events: the other takes over what it had claimed."""
    await system.relays[0].crash()


async def kill_a_consumer(system: System) -> None:
    """SIGKILL to a consumer of events: the other gets its partitions."""
    await system.consumers[0].crash()


async def restart_relays_and_consumers(system: System) -> None:
    """SIGTERM to each relay and consumer of events, as an update does."""
    for role in (*system.relays, *system.consumers):
        status = await role.end()
        if status != 0:
            raise RuntimeError(f"{role.name} ended with status {status}")
        await role.start()


async def restart_postgresql(system: System) -> None:
    """PostgreSQL's fast shutdown, which breaks off what runs, and a start."""
    await system.postgresql.end()
    await system.postgresql.start()
    await _ready(system)


async def kill_postgresql(system: System) -> None:
    """PostgreSQL loses every process, and recovers from its log."""
    await system.postgresql.end(signal.SIGQUIT)
    await system.postgresql.start()
    await _ready(system)


DATABASE_UNAVAILABLE = frozenset({"5xx", grpc_client.UNAVAILABLE, grpc_client.STREAM_ENDED})
"""What clients may see while the database is unavailable."""

FAULTS = (
    Fault("Gunicorn reloaded (SIGHUP)", reload),
    Fault("worker of Gunicorn killed", kill_a_worker, frozenset({"broken"})),
    Fault("worker of tasks killed", kill_the_worker),
    Fault("gRPC server killed", kill_a_grpc_server, frozenset({grpc_client.BROKEN})),
    Fault("relay of events killed", kill_a_relay),
    Fault("Redis killed", kill_redis),
    Fault("rolling restart of both Gunicorns", rolling_restart),
    Fault("PostgreSQL restarted", restart_postgresql, DATABASE_UNAVAILABLE),
    Fault(
        "rolling restart of both gRPC servers", restart_grpc_servers, frozenset({grpc_client.STREAM_ENDED})
    ),
    Fault("consumer of events killed", kill_a_consumer),
    Fault("beat killed", kill_beat),
    Fault("Gunicorn killed with its workers", kill_an_api, frozenset({"broken"})),
    Fault("broker killed", kill_the_broker),
    Fault("PostgreSQL crashed", kill_postgresql, DATABASE_UNAVAILABLE),
    Fault("worker of tasks restarted", restart_the_worker),
    Fault("relays and consumers of events restarted", restart_relays_and_consumers),
)
SHORT = (
    "Gunicorn reloaded (SIGHUP)",
    "worker of tasks killed",
    "relay of events killed",
    "consumer of events killed",
    "rolling restart of both gRPC servers",
    "PostgreSQL crashed",
    "Redis killed",
)
"""What a short run does: one of each kind."""


async def inflict(
    system: System, faults: tuple[Fault, ...], seconds: float, pause: float, say: Callable[[str], None]
) -> list[Window]:
    """Do one thing after another for so long, each at least once, with pauses between."""
    windows = []
    end = time.monotonic() + seconds
    number = 0
    while number < len(faults) or time.monotonic() < end:
        fault = faults[number % len(faults)]
        await asyncio.sleep(pause)
        begun = time.monotonic()
        await fault.do(system)
        windows.append(Window(fault, begun, time.monotonic()))
        say(f"{fault.name}: all works again after {time.monotonic() - begun:.1f} s")
        number += 1
    await asyncio.sleep(pause)
    return windows


async def _ready(system: System) -> None:
    for api in system.apis:
        await _until(lambda api=api: api.answers("/readyz"))
    for server in system.grpc_servers:
        await _until(server.is_healthy)


def _alive(api: Api, pids: set[int]) -> bool:
    return any(each.pid in pids for each in api.family)


async def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            raise RuntimeError("the system did not recover within a minute")
        await asyncio.sleep(0.1)
