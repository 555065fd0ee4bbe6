"""Proxies between clients and brokers, which can cut every connection.

Brokers tell clients where to connect, so a client has to be told to go by the proxies: `rerouted`.
"""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from aiokafka import client, conn


class Proxies:
    """A proxy for each broker."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers: dict[int, asyncio.Server] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self.ports: dict[int, int] = {int(server.rpartition(":")[2]): 0 for server in servers}
        """The port of the proxy by that of the broker."""

    async def open(self) -> None:
        """Let connections through."""
        for target, port in self.ports.items():

            async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int = target) -> None:
                await self._connect(reader, writer, target)

            self._servers[target] = await asyncio.start_server(connect, "127.0.0.1", port)
            self.ports[target] = self._servers[target].sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and accept no new ones."""
        for server in self._servers.values():
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target)
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@contextmanager
def rerouted(ports: Mapping[int, int]) -> Generator[None]:
    """Have aiokafka connect to other ports than the brokers name."""

    async def create_conn(host: str, port: int, **options: Any) -> conn.AIOKafkaConnection:
        return await conn.create_conn(host, ports.get(port, port), **options)

    with mock.patch.object(client, "create_conn", create_conn):
        yield
