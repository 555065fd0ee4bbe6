"""Clients that follow the changes of their notes, as cheap as Python allows: run by `benchmarks.streams`.

Reads `PORT TOKEN READERS SECONDS` from the command line; when all read prints a line and waits for one on standard
input; then makes a note, waits until each reader has heard of it, and makes the next. At the end prints JSON: events
delivered from the first note on, their rate after warming up, milliseconds from asking to hearing, and which part of a
processor all this took: near 1, it is the readers that were measured.
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
"""Connections that are opened at the same time."""


class Reader(asyncio.Protocol):
    """A stream that counts a mark in what it gets."""

    def __init__(self, mark: bytes, crowd: "Crowd") -> None:
        """Tell a crowd of each mark."""
        self.mark = mark
        self.crowd = crowd
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count marks, also where they were cut."""
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
    """What all readers have heard."""

    def __init__(self, readers: int) -> None:
        """Wait for so many of each note."""
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
        """Make notes one after the other."""
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
                told = f"{self.missing} of {self.readers} did not hear of a note; {self.resets} lost messages"
                raise RuntimeError(told) from None


async def main(port: int, token: str, readers: int, seconds: float) -> None:
    """Connect, make notes, report."""
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
