"""Readers of concurrent streamed answers, as cheap as Python allows: run by `benchmarks.answers`.

Reads `PORT TOKENS PATH...` from the command line, and opens one stream per path, for an answer of that many tokens.
Prints a line once all have started; at the end JSON: tokens per second, milliseconds to the first token, and the share
of a CPU that this process used: near 1, the readers themselves were the bottleneck.
"""

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

BEGUN, ENDED = b"event: token", b"event: message"


class Reader(asyncio.Protocol):
    """A connection that waits for the first token and for the end."""

    def __init__(self, path: str, tokens: int) -> None:
        """Create a reader that asks for `tokens` tokens once connected."""
        self.path = path
        self.tokens = tokens
        loop = asyncio.get_running_loop()
        self.begun, self.ended = loop.create_future(), loop.create_future()
        self.asked = self.first = 0.0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        body = json.dumps({"content": f"Count to {self.tokens}"})
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.asked = time.perf_counter()
        cast("asyncio.Transport", transport).write((head + body).encode())

    def data_received(self, data: bytes) -> None:
        """Search for both markers, even if split between chunks."""
        data = self._tail + data
        if not self.begun.done() and BEGUN in data:
            self.first = time.perf_counter()
            self.begun.set_result(None)
        if not self.ended.done() and ENDED in data:
            self.ended.set_result(None)
        self._tail = data[-len(ENDED) :]

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail unless the stream was complete."""
        for waited in (self.begun, self.ended):
            if not waited.done():
                waited.set_exception(
                    RuntimeError(f"{self.path}: the stream ended early: {exc} {self._tail!r}")
                )


async def main(port: int, tokens: int, paths: list[str]) -> None:
    """Ask, read, report."""
    loop = asyncio.get_running_loop()
    readers = [Reader(path, tokens) for path in paths]
    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(
        *(loop.create_connection(lambda each=reader: each, "127.0.0.1", port) for reader in readers)
    )
    await asyncio.gather(*(reader.begun for reader in readers))
    sys.stdout.write("streaming\n")
    sys.stdout.flush()
    await asyncio.gather(*(reader.ended for reader in readers))
    took, busy = time.perf_counter() - began, time.process_time() - busy
    delays = sorted((reader.first - reader.asked) * 1e3 for reader in readers)
    found = {"rate": len(readers) * tokens / took, "crowd": busy / took}
    found |= {"p50": delays[len(delays) // 2], "p99": delays[int(len(delays) * 0.99)]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    port, tokens, *paths = sys.argv[1:]
    uvloop.run(main(int(port), int(tokens), paths))
