"""The load generator if wrk is missing: `python -m benchmarks.client PORT CONNECTIONS SECONDS`, options on stdin."""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator

LENGTH = b"content-length:"


def _requests(token: str, paths: list[str], body: str | None, method: str) -> list[bytes]:
    method = "GET" if body is None else method
    content = (body or "").encode()
    head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return [f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content for path in paths]


async def _drive(port: int, requests: Iterator[bytes], until: float, latencies: list[float]) -> int:
    """Send requests on one connection until the time is up; return the number of failures."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    failed = 0
    while (started := time.perf_counter()) < until:
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[len(LENGTH) :]) for line in lines if line.startswith(LENGTH)), 0)
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - started)
        failed += not head.startswith(b"HTTP/1.1 2")
    writer.close()
    return failed


async def main(port: int, connections: int, seconds: float) -> None:
    """Put load on a server; print the result as one line of JSON."""
    requests = itertools.cycle(_requests(**json.load(sys.stdin)))
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    errors = await asyncio.gather(*(_drive(port, requests, until, latencies) for _ in range(connections)))
    latencies.sort()
    result = {
        "rate": len(latencies) / seconds,
        "p50": latencies[len(latencies) // 2] * 1e3,
        "p99": latencies[len(latencies) * 99 // 100] * 1e3,
        "errors": sum(errors),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
