"""Load: by `wrk` if it is installed, else by a Python client, which cannot saturate the fastest servers."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.routes import Case
from benchmarks.servers import LOAD_CPU, Server, pinned

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Result:
    """Results of one round of load."""

    rate: float
    p50: float
    p99: float
    errors: int
    cpu: float = 0.0
    """Milliseconds of the server's CPU time per request: the most stable figure on a busy machine."""


def generator() -> str:
    """Return the name of the load generator."""
    return "wrk" if shutil.which("wrk") else "a client in Python (wrk is not installed)"


def put(server: Server, case: Case, *, connections: int, seconds: float, token: str = "") -> Result:
    """Send requests of a case on a number of connections, with an access token if given."""
    options = {"token": token, "paths": case.paths, "body": case.body, "method": case.method}
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
            case.method,
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
    return Result(**found, cpu=spent * 1e3 / max(found["rate"] * seconds, 1))
