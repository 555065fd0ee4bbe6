"""Chat clients, as cheap as Python allows, so that the server is the bottleneck: run by `benchmarks.rooms`.

Reads `PORT PATH PROTOCOL CONNECTIONS SENDERS SECONDS` from the command line. Once all are connected, it prints a line
and waits for one on standard input; then each sender sends a message, waits until it receives it, and sends the next.
At the end it prints JSON: deliveries in total, their rate after warm-up, latencies in milliseconds at a few listeners,
and the share of a CPU that this process used: near 1, the crowd itself was the bottleneck.

Most clients only count: they read a frame's length and find its messages by a search for bytes. Only senders and a few
listeners parse messages.
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
"""Occurs once per message, in frames of one or more messages."""

NAME = re.compile(MARK + rb'(\d+):([0-9.]+)"')


class Client(asyncio.Protocol):
    """A connection that counts messages."""

    def __init__(self, number: int, path: str, protocol: str, *, sends: bool) -> None:
        """Create a client by number; a sender sends its next message when it receives its last."""
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
        """Send the WebSocket handshake."""
        self.transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        head += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        if self.protocol:
            head += f"Sec-WebSocket-Protocol: {self.protocol}\r\n"
        transport.write(f"{head}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Count messages; a sender looks for its own, an observer measures the latency of all."""
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
        """Handle one frame."""
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
        """Send the next message."""
        self.said += 1
        name = f"{self.number.decode()}:{time.perf_counter()}"
        self.write(0x81, json.dumps({"type": "message", "client_id": name, "body": BODY}).encode())

    def write(self, head: int, payload: bytes) -> None:
        """Send a frame with an all-zero mask."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        self.transport.write(bytes([head]) + length + b"\0\0\0\0" + payload)


async def main(port: int, path: str, protocol: str, connections: int, senders: int, seconds: float) -> None:
    """Connect, send, report."""
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
    # Spread out: if workers do not share messages, some listeners still share a worker with a sender.
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
