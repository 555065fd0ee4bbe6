"""Clients of a room, as cheap as Python allows, so that the server is what is measured: run by `benchmarks.rooms`.

Reads `PORT PATH PROTOCOL CONNECTIONS SENDERS SECONDS` from the command line; when all are connected prints a line and
waits for one on standard input; then each sender says something, waits for it to come back, and says the next thing. At
the end prints JSON: deliveries from the first word on, their rate after warming up, milliseconds from saying to hearing
at a few listeners, and which part of a processor all this took: near 1, it is the crowd that was measured.

Most of the crowd only counts: a frame's length is read, and the messages in it are found by a search for bytes. Who
talks, and a few who listen, look into them.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
from typing import cast

import uvloop

OBSERVERS = 10
BODY = "x" * 60
MARK = b'"client_id":"'
"""What each message has once, alone in its frame or among others."""

NAME = re.compile(MARK + rb'(\d+):([0-9.]+)"')


class Client(asyncio.Protocol):
    """A connection that counts what it gets."""

    def __init__(self, number: int, path: str, protocol: str, *, sends: bool) -> None:
        """Be the client of this number; one that sends says the next thing when it hears its last."""
        self.number = str(number).encode()
        self.path = path
        self.protocol = protocol
        self.sends = sends
        self.ready = asyncio.get_running_loop().create_future()
        self.heard = 0
        self.said = 0
        self.delays: list[float] = []
        self.observes = False
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self.transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        head += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        if self.protocol:
            head += f"Sec-WebSocket-Protocol: {self.protocol}\r\n"
        transport.write(f"{head}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Count messages; read those of our own, and all of them where delays are taken."""
        if self.buffer:
            data = self.buffer + data
        if not self.ready.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.buffer = head
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.ready.set_exception(RuntimeError(head.decode() + data.decode()))
                return
            self.ready.set_result(None)
        size, position = len(data), 0
        while size - position >= 10 or (size - position >= 2 and data[position + 1] < 126):
            length, start = data[position + 1], position + 2
            if length == 126:
                length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif length == 127:
                length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            if size < start + length:
                break
            self.on_frame(data[position], data, start, start + length)
            position = start + length
        self.buffer = data[position:]

    def on_frame(self, head: int, data: bytes, start: int, end: int) -> None:
        """Look at one frame."""
        if head == 0x89:
            self.write(0x8A, data[start:end])
        elif not (self.observes or self.sends):
            self.heard += data.count(MARK, start, end)
        else:
            for number, moment in NAME.findall(data, start, end):
                self.heard += 1
                if self.observes:
                    self.delays.append(time.perf_counter() - float(moment))
                if self.sends and number == self.number:
                    self.say()

    def say(self) -> None:
        """Say the next thing."""
        self.said += 1
        name = f"{self.number.decode()}:{time.perf_counter()}"
        self.write(0x81, json.dumps({"type": "message", "client_id": name, "body": BODY}).encode())

    def write(self, head: int, payload: bytes) -> None:
        """Send a frame, masked with zeros."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        self.transport.write(bytes([head]) + length + b"\0\0\0\0" + payload)


async def main(port: int, path: str, protocol: str, connections: int, senders: int, seconds: float) -> None:
    """Connect, talk, report."""
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(connections):
        _, client = await loop.create_connection(
            lambda n=number: Client(n, path, protocol, sends=n < senders), "127.0.0.1", port
        )
        await client.ready
        clients.append(client)
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    # Spread: with several workers that do not hear each other, some of them share a worker with a client that talks.
    for client in clients[:: max(1, connections // OBSERVERS)]:
        client.observes = True
    for client in clients[:senders]:
        client.say()
    await asyncio.sleep(1)  # Warm up.
    for client in clients:
        client.delays.clear()
    began, busy, before = time.perf_counter(), time.process_time(), sum(client.heard for client in clients)
    await asyncio.sleep(seconds)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    heard = sum(client.heard for client in clients)
    delays = sorted(delay * 1e3 for client in clients for delay in client.delays) or [float("nan")]
    found = {"rate": (heard - before) / took, "deliveries": heard, "crowd": busy / took}
    found |= {"p50": delays[len(delays) // 2], "p99": delays[int(len(delays) * 0.99)]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    port, path, protocol, *numbers = sys.argv[1:]
    uvloop.run(main(int(port), path, protocol, int(numbers[0]), int(numbers[1]), float(numbers[2])))
