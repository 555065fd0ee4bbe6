"""A server with scripted responses, byte by byte: for the protocols of Ollama and OpenAI."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from keel.testing.scripted_model import Pause


@dataclass
class Response:
    """A response: its lines are sent one by one, each a chunk."""

    lines: Sequence[str | Pause] = ()
    status: int = 200
    cut: bool = False
    """Whether the connection is lost after the lines, instead of the response being ended."""


@dataclass
class Wire:
    """A server and the requests it received."""

    responses: list[Response] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has left in the middle of a response."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which is closed after the response."""
        try:
            await self._read(reader)
            await self._write(self.responses.pop(0), reader, writer)
        except ConnectionError:
            self.gone.set()
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.paths.append(head[0].split()[1])
        self.headers.append(headers)
        self.bodies.append(json.loads(await reader.readexactly(int(headers["content-length"]))))

    async def _write(self, response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {response.status} -\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode())
        for line in response.lines:
            if isinstance(line, Pause):
                line.reached.set()
                left = asyncio.create_task(reader.read())
                over = asyncio.create_task(line.over.wait())
                await asyncio.wait([left, over], return_when=asyncio.FIRST_COMPLETED)
                over.cancel()
                if left.done():
                    raise ConnectionResetError
                left.cancel()
                continue
            data = line.encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
        if not response.cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


@asynccontextmanager
async def wire() -> AsyncGenerator[Wire]:
    """Run a server while the block runs."""
    made = Wire()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with server:
        yield made
