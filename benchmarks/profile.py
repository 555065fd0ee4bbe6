"""Where the processor time of a request goes: a server under load, sampled by py-spy from outside.

A sample belongs to the package of the innermost Python frame that `PARTS` knows. Compiled code has no frames of its
own: what the loop calls directly (parsing of HTTP, asyncpg's reading of answers, system calls on sockets) counts as the
loop's, and validation and encoding by Pydantic's core as its caller's.
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
"""Of several parts that know a frame, it belongs to the first."""

REST = "others"
HERTZ = 200
_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(:\d+)?\)$")

Shares = dict[str, float]
"""By part; all together are 1."""


def take(contender: Contender, cases: Sequence[str], options: Namespace, folder: Path) -> dict[str, Shares]:
    """Return the shares of each case, sampled for two seconds longer than a number is measured."""
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
    """Start py-spy, which waits for no request: samples of an idle process are none."""
    command = ["uv", "tool", "run", "--quiet", "py-spy", "record", "--pid", str(server.process.pid)]
    command += ["--format", "raw", "--rate", str(HERTZ), "--duration", str(seconds), "--output", str(stacks)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _shares(stacks: str) -> Shares:
    """Return the shares of stacks, each a line of frames, outermost first, and how often it was seen."""
    seen: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        # A thread that waits for others is sometimes taken for one that runs.
        if frames and "wait (threading.py:" not in frames.rpartition(";")[2]:
            seen[part_of(frames.split(";"))] += int(count)
    return {part: count / seen.total() for part, count in seen.items()}


def part_of(frames: Sequence[str]) -> str:
    """Return the part to which a stack belongs: that of the innermost frame of a known package."""
    for frame in reversed(frames):
        matched = _FRAME.match(frame)
        file = matched["file"] if matched else ""
        for part, prefixes in PARTS.items():
            if file.startswith(prefixes):
                return part
    return REST
