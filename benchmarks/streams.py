"""Live changes of notes as server-sent events, with many readers of one process."""

import json
import subprocess
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.accounts import sign_in
from benchmarks.project import clean_environment
from benchmarks.report import table
from benchmarks.servers import LOAD_CPU, Contender, Server, allow_files, pinned, serving

FOLLOWERS = Path(__file__).parent / "followers.py"
UNBOUNDED = {"STREAMS_PER_CALLER": "100000", "MAX_STREAMS": "100000"}


def measure(contender: Contender, readers: int, options: Namespace, folder: Path) -> str:
    """Connect readers to one caller's notes; return a table.

    Memory is KiB of the server's private pages per reader, cost is microseconds of CPU time per delivered event.
    """
    allow_files(readers)
    unbounded = replace(contender, env=contender.env | UNBOUNDED)
    with serving(unbounded, folder / "server.log") as server:
        token = sign_in(server.port, contender.routes)
        # Exclude imports and connections made for the first readers from the memory of readers.
        _follow(server, contender, token, 10, 1)
        time.sleep(1)
        found = _follow(server, contender, token, readers, options.seconds + 2)
    fields = ("rate", "p50", "p99", "cost", "memory")
    head = ["events/s to all", "p50 ms", "p99 ms", "CPU µs per event and reader", "KiB per reader"]
    row = [str(readers), *(f"{found[field]:,.0f}" for field in fields), f"{found['crowd']:.0%}"]
    return table(["readers", *head, "the readers' CPU"], [row])


def _follow(
    server: Server, contender: Contender, token: str, readers: int, seconds: float
) -> dict[str, float]:
    process = psutil.Process(server.process.pid)
    before = process.memory_full_info().uss
    command = [str(contender.python), str(FOLLOWERS), str(server.port), token, str(readers), str(seconds)]
    crowd = subprocess.Popen(
        pinned(LOAD_CPU, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()
    )
    if crowd.stdout is None or crowd.stdout.readline() != b"connected\n":
        crowd.kill()
        raise RuntimeError(f"{server.name}: not all of {readers} readers could connect")
    memory = (process.memory_full_info().uss - before) / 1024 / readers
    spent = server.processor_time
    output, _ = crowd.communicate(b"go\n")
    if crowd.returncode:
        raise RuntimeError(f"{server.name}: not every reader received every note")
    found = json.loads(output)
    cost = (server.processor_time - spent) / found["deliveries"] * 1e6
    return {**found, "cost": cost, "memory": memory}
