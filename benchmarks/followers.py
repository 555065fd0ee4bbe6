"""Readers of live changes, as cheap as Python allows: run by `benchmarks.streams`.

Reads `PORT TOKEN READERS SECONDS` from the command line. Once all are connected, it prints a line and waits for one on
standard input; then it creates a note, waits until every reader has its event, and creates the next. At the end it
prints JSON: events delivered in total, their rate after warm-up, milliseconds from request to event, and the share of a
CPU that this process used: near 1, the readers themselves were the bottleneck.
"""

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

PATH = "/api/v1/notes"
MARK = b"event: created\n"
RESET = b"event: reset\n"
AT_ONCE = 50
"""Connections opened at the same time."""


class Reader(asyncio.Protocol):
    """A stream that counts occurrences of a marker."""

    def __init__(self, mark: bytes, crowd: "Crowd") -> None:
        """Create a stream that reports markers to a crowd."""
        self.mark = mark
        self.crowd = crowd
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count markers, including those split between chunks."""
        data = self._tail + data
        if not self.ready.done() and b"\r\n\r\n" in data:
            status = data.partition(b"\r\n")[0]
            error = None if b" 200 " in status else RuntimeError(data.decode(errors="replace"))
            self.ready.set_exception(error) if error else self.ready.set_result(None)
        self.crowd.resets += data.count(RESET)
        for _ in range(data.count(self.mark)):
            self.crowd.hear()
        self._tail = data.rpartition(self.mark)[2][-len(self.mark) + 1 :]


class Crowd:
    """Deliveries to all readers."""

    def __init__(self, readers: int) -> None:
        """Expect one delivery of each note per reader."""
        self.readers = readers
        self.heard = self.missing = self.resets = 0
        self.delays: list[float] = []
        self.asked = 0.0
        self.all_heard = asyncio.Event()

    def hear(self) -> None:
        """Count one delivery."""
        self.heard += 1
        self.missing -= 1
        self.delays.append(time.perf_counter() - self.asked)
        if self.missing == 0:
            self.all_heard.set()

    async def talk(self, port: int, request: bytes, seconds: float) -> None:
        """Create notes one at a time until the time is up."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self.all_heard.clear()
            self.missing, self.asked = self.readers, time.perf_counter()
            answers, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await answers.read()
            writer.close()
            if b" 201 " not in answer.partition(b"\r\n")[0]:
                raise RuntimeError(answer.decode(errors="replace"))
            try:
                await asyncio.wait_for(self.all_heard.wait(), timeout=30)
            except TimeoutError:
                told = f"{self.missing} of {self.readers} readers missed a note; {self.resets} lost messages"
                raise RuntimeError(told) from None


async def main(port: int, token: str, readers: int, seconds: float) -> None:
    """Connect, create notes, report."""
    loop = asyncio.get_running_loop()
    crowd = Crowd(readers)
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"

    async def follow() -> Reader:
        transport, reader = await loop.create_connection(lambda: Reader(MARK, crowd), "127.0.0.1", port)
        transport.write(f"GET {PATH}/events {head}Accept: text/event-stream\r\n\r\n".encode())
        await reader.ready
        return reader

    following = []
    for begun in range(0, readers, AT_ONCE):
        following += await asyncio.gather(*(follow() for _ in range(min(AT_ONCE, readers - begun))))
    body = json.dumps({"title": "A note of middling length", "body": "- measure the harbour\n" * 8})
    head += f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    request = f"POST {PATH} {head}\r\n{body}".encode()
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await crowd.talk(port, request, 1)  # Warm up.
    crowd.delays.clear()
    began, busy, before = time.perf_counter(), time.process_time(), crowd.heard
    await crowd.talk(port, request, seconds)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    delays = sorted(delay * 1e3 for delay in crowd.delays)
    found = {"rate": (crowd.heard - before) / took, "deliveries": crowd.heard, "crowd": busy / took}
    found |= {"p50": delays[len(delays) // 2], "p99": delays[int(len(delays) * 0.99)]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    port, token, readers, seconds = sys.argv[1:]
    uvloop.run(main(int(port), token, int(readers), float(seconds)))
