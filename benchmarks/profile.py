"""CPU time per request by part: a server under load, sampled by py-spy.

A sample belongs to the package of the innermost Python frame listed in `PARTS`. Compiled code has no frames: what the
event loop calls directly (HTTP parsing, asyncpg reading results, system calls on sockets) counts as the loop's, and
validation and serialization in Pydantic's core as the caller's.
"""

import re
import subprocess
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accounts import sign_in
from benchmarks.load import put
from benchmarks.servers import Contender, Server, serving

PARTS = {
    "telemetry": ("opentelemetry/", "fastapi/telemetry/", "keel/otel/", "keel/observability/tracing.py"),
    "FastAPI, Starlette": ("fastapi/", "starlette/", "anyio/"),
    "event loop, HTTP, sockets": ("uvloop/", "uvicorn/", "asyncio/"),
    "Pydantic": ("pydantic/", "pydantic_settings/"),
    "SQLAlchemy": ("sqlalchemy/",),
    "driver of the database": ("asyncpg/", "aiosqlite/", "sqlite3/"),
    "Redis": ("redis/", "hiredis/", "keel/redis/"),
    "log": ("structlog/", "logging/", "keel/observability/"),
    "JSON": ("json/", "orjson/"),
    "who is calling": ("jwt/", "cryptography/", "keel/auth/", "keel/caller.py"),
    "Keel's middleware": ("keel/web/",),
    "the rest of Keel": ("keel/",),
    "the example": ("app/",),
}
"""A frame belongs to the first part that matches."""

REST = "others"
HERTZ = 200
_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(:\d+)?\)$")

Shares = dict[str, float]
"""Shares by part, which add up to 1."""


def take(contender: Contender, cases: Sequence[str], options: Namespace, folder: Path) -> dict[str, Shares]:
    """Return the shares of each case, sampled for two seconds longer than a measurement."""
    found = {}
    with serving(contender, folder / "server.log") as server:
        renews = contender.signs_in and contender.routes.renews
        token = sign_in(server.port, contender.routes) if renews else contender.token
        for case in map(contender.routes.case, cases):
            put(server, case, token=token, connections=options.connections, seconds=1)
            seconds, stacks = options.seconds + 2, folder / "stacks"
            with _sampling(server, seconds, stacks) as sampler:
                put(server, case, token=token, connections=options.connections, seconds=seconds + 1)
                said, _ = sampler.communicate()
            if sampler.returncode:
                raise RuntimeError(f"py-spy could not sample {contender.name}:\n{said}")
            found[case.name] = _shares(stacks.read_text())
    return found


def _sampling(server: Server, seconds: int, stacks: Path) -> "subprocess.Popen[str]":
    """Start py-spy; it need not wait for the load, since an idle process yields no samples."""
    command = ["uv", "tool", "run", "--quiet", "py-spy", "record", "--pid", str(server.process.pid)]
    command += ["--format", "raw", "--rate", str(HERTZ), "--duration", str(seconds), "--output", str(stacks)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _shares(stacks: str) -> Shares:
    """Return the shares of parts, given lines of frames, outermost first, and a count."""
    seen: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        # py-spy sometimes takes a waiting thread for a running one.
        if frames and "wait (threading.py:" not in frames.rpartition(";")[2]:
            seen[part_of(frames.split(";"))] += int(count)
    return {part: count / seen.total() for part, count in seen.items()}


def part_of(frames: Sequence[str]) -> str:
    """Return a stack's part: that of its innermost frame in a known package."""
    for frame in reversed(frames):
        matched = _FRAME.match(frame)
        file = matched["file"] if matched else ""
        for part, prefixes in PARTS.items():
            if file.startswith(prefixes):
                return part
    return REST
