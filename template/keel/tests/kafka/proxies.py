"""Proxies between clients and brokers that can cut, delay, half-open or inspect connections.

Brokers advertise their own addresses, so clients must be redirected to the proxies: `rerouted`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from aiokafka import client, conn


class Proxies:
    """A proxy for each broker."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers: dict[int, asyncio.Server] = {}
        self._to_clients: set[asyncio.StreamWriter] = set()
        self._to_brokers: set[asyncio.StreamWriter] = set()
        self._deaf: set[asyncio.StreamWriter] = set()
        self._half_open: tuple[bool, bool] = (False, False)
        self.delay = 0.0
        """Delay of each piece of data, in seconds, in each direction."""
        self.inspect: Callable[[bytes], None] | None = None
        """Called with each request before it is forwarded to a broker."""
        self.accepted = 0
        """Number of connections accepted so far."""
        self._hosts = {int(port): host for host, _, port in (server.rpartition(":") for server in servers)}
        self.ports: dict[int, int] = dict.fromkeys(self._hosts, 0)
        """The proxies' ports by broker port."""

    async def open(self) -> None:
        """Accept connections."""
        for target, port in self.ports.items():

            async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int = target) -> None:
                await self._connect(reader, writer, target)

            self._servers[target] = await asyncio.start_server(connect, "127.0.0.1", port)
            self.ports[target] = self._servers[target].sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Abort every connection and accept no new ones."""
        for server in self._servers.values():
            server.close()
        for writers in (self._to_clients, self._to_brokers):
            for writer in writers:
                writer.transport.abort()
            writers.clear()
        await asyncio.sleep(0)

    def half_open(self, *, requests_arrive: bool) -> None:
        """Keep connections open but drop all responses, and requests, too, unless `requests_arrive`.

        This includes connections opened before `heal`. None of them ever recovers, and brokers do not see that a client
        has closed one, as if a machine had vanished or a firewall had dropped its state.
        """
        self._half_open = (True, not requests_arrive)
        self._deaf |= self._to_clients
        if not requests_arrive:
            self._deaf |= self._to_brokers

    def heal(self) -> None:
        """Let new connections work again."""
        self._half_open = (False, False)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(self._hosts[target], target)
        self.accepted += 1
        self._to_clients.add(writer)
        self._to_brokers.add(upstream_writer)
        self._deaf |= {side for side, deaf in zip((writer, upstream_writer), self._half_open, strict=True) if deaf}
        await asyncio.gather(
            self._pump(lambda: self._request(reader), upstream_writer),
            self._pump(lambda: upstream_reader.read(65536), writer),
        )

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        """Read a request: its size in four bytes, then the request."""
        size = await reader.readexactly(4)
        request = await reader.readexactly(int.from_bytes(size))
        if self.inspect:
            self.inspect(request)
        return size + request

    async def _pump(self, read: Callable[[], Awaitable[bytes]], writer: asyncio.StreamWriter) -> None:
        try:
            while data := await read():
                if self.delay:
                    await asyncio.sleep(self.delay)
                if writer not in self._deaf:
                    writer.write(data)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if writer not in self._deaf:
                writer.close()


@contextmanager
def rerouted(ports: Mapping[int, int]) -> Generator[None]:
    """Have aiokafka connect to other ports than the brokers advertise."""

    async def create_conn(host: str, port: int, **options: Any) -> conn.AIOKafkaConnection:
        if port in ports:
            host, port = "127.0.0.1", ports[port]
        return await conn.create_conn(host, port, **options)

    with mock.patch.object(client, "create_conn", create_conn):
        yield
