"""Load: `wrk` where it is installed, else a client in Python, which cannot keep the fastest servers busy."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.servers import LOAD_CPU, Server, pinned
from benchmarks.stores import note_ids

SCRIPT = Path(__file__).with_name("wrk.lua")
POST_BODY = json.dumps({"title": "A note of middling length", "body": "- measure the harbour\n" * 8})


@dataclass(frozen=True)
class Case:
    """What is asked for, over and over."""

    name: str
    paths: tuple[str, ...]
    body: str | None = None


CASES = (
    Case("health", ("/healthz",)),
    Case("GET one", tuple(f"/api/v1/notes/{note_id}" for note_id in note_ids(200))),
    Case("GET list of 20", (f"/api/v1/notes?{urlencode({'limit': 20})}",)),
    Case("POST", ("/api/v1/notes",), POST_BODY),
)


@dataclass(frozen=True)
class Result:
    """What one round of load found."""

    rate: float
    p50: float
    p99: float
    errors: int
    cpu: float = 0.0
    """Milliseconds of processor time that the server spent on a request: the steadiest number on a busy machine."""


def generator() -> str:
    """Return the name of what makes the load."""
    return "wrk" if shutil.which("wrk") else "a client in Python (wrk is not installed)"


def put(server: Server, case: Case, *, connections: int, seconds: float, token: str = "") -> Result:
    """Request a case over and over on this many connections, with an access token if there is one."""
    options = {"token": token, "paths": case.paths, "body": case.body}
    if shutil.which("wrk"):
        command = [
            "wrk",
            "--threads",
            "1",
            "--connections",
            str(connections),
            "--duration",
            f"{round(seconds)}s",
        ]
        command += [
            "--script",
            str(SCRIPT),
            f"http://127.0.0.1:{server.port}",
            "--",
            token,
            case.body or "",
            *case.paths,
        ]
    else:
        command = [
            sys.executable,
            "-m",
            "benchmarks.client",
            str(server.port),
            str(connections),
            str(seconds),
        ]
    before = server.processor_time
    output = subprocess.run(
        pinned(LOAD_CPU, command), input=json.dumps(options), capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(output.splitlines()[-1])
    spent = server.processor_time - before
    return Result(**found, cpu=spent * 1e3 / (found["rate"] * seconds))
