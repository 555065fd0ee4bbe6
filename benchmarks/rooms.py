"""Fan-out of the project's chat: `uv run --group benchmarks python -m benchmarks.rooms --help`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from benchmarks import stores
from benchmarks.project import FLOORS, Project, clean_environment, render
from benchmarks.report import table
from benchmarks.servers import LOAD_CPU, Contender, Server, allow_files, pinned, request, serving

CROWD = Path(__file__).parent / "crowd.py"
SETTINGS = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "RATE_LIMIT": "1000000000/minute",
    "WEBSOCKETS_MESSAGE_RATE": "1000000000/minute",
    "WEBSOCKETS_MAX_PER_CALLER": "100000",
    "ENV_FILE": "",
}
PROJECT, SINGLE, FLOOR, TEXTBOOK = "project", "project, single messages", "floor", "textbook"
PROTOCOLS = {PROJECT: "keel.chat.v2", SINGLE: "keel.chat.v1"}
"""The second version of the project's protocol, which its demo page uses: messages may share a frame."""

FIELDS = ("rate", "p50", "p99", "cost", "memory")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rooms", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--senders", type=int, default=20)
    parser.add_argument("--connections", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


def _processes(server: Server) -> list[psutil.Process]:
    """Return the processes of the server and its workers."""
    parent = psutil.Process(server.process.pid)
    return [parent, *parent.children(recursive=True)]


def _memory(server: Server) -> float:
    """Return the memory of server and workers in KiB, private pages only, since most others are shared."""
    return sum(each.memory_full_info().uss for each in _processes(server)) / 1024


def _processor_time(server: Server) -> float:
    """Return the CPU time of the server and its workers so far, in seconds."""
    return sum(each.cpu_times().user + each.cpu_times().system for each in _processes(server))


def _put(server: Server, project: Project, connections: int, options: argparse.Namespace) -> dict[str, float]:
    """Connect a crowd to a room; return its results and the server's cost.

    Memory is KiB per idle connection, cost is microseconds of CPU time per delivery.
    """
    room, protocol = "floor", PROTOCOLS.get(server.name, "")
    if protocol:
        answer = request(server.port, "POST", "/api/v1/chat/rooms", b'{"name": "Harbour"}')
        room = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
    command = [str(project.python), str(CROWD), str(server.port), f"/api/v1/chat/rooms/{room}/ws", protocol]
    # Exclude imports and connections made for the first clients from the memory of connections.
    subprocess.run([*command, "10", "1", "0.1"], input=b"go\n", check=True, stdout=subprocess.DEVNULL)
    time.sleep(1)
    before = _memory(server)
    command += map(str, (connections, options.senders, options.seconds))
    crowd = subprocess.Popen(
        pinned(LOAD_CPU, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()
    )
    if crowd.stdout is None or crowd.stdout.readline() != b"connected\n":
        crowd.kill()
        raise RuntimeError(f"{server.name}: not all of {connections} could connect")
    time.sleep(1)
    memory = (_memory(server) - before) / connections
    spent = _processor_time(server)
    output, _ = crowd.communicate(b"go\n")
    found = json.loads(output)
    if not found["deliveries"]:
        raise RuntimeError(f"{server.name}: no message was delivered")
    cost = (_processor_time(server) - spent) / found["deliveries"] * 1e6
    return {**found, "cost": cost, "memory": memory}


def main() -> None:
    """Render, install, run, measure, report."""
    options = _arguments()
    allow_files(max(options.connections))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-rooms-")))
        project = render(folder / "project", options.database, redis=True, websockets=True)
        shared = {"REDIS_URL": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")}
        settings = SETTINGS | shared | {"REDIS_PREFIX": f"benchmark-{os.getpid()}:"}
        migrate = lambda store: project.run("app", "migrate", env=settings | store)  # noqa: E731 - one line, used once
        make = stack.enter_context(getattr(stores, options.database)(folder))
        store = stack.enter_context(make("project", migrate))
        sys.stdout.write(
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
            f"{options.database}; {options.senders} senders, {options.rounds} rounds of {options.seconds} s\n\n"
        )
        found: dict[tuple[int, int, str], list[dict[str, float]]] = defaultdict(list)
        for number in range(options.rounds):
            for workers in options.workers:
                contenders = [
                    Contender(PROJECT, project.python, project.path, "app.main:app", settings | store),
                    Contender(SINGLE, project.python, project.path, "app.main:app", settings | store),
                    # A single process reaches every client without pub/sub.
                    Contender(
                        FLOOR, project.python, FLOORS, "rooms_floor:app", shared if workers > 1 else {}
                    ),
                    Contender(TEXTBOOK, project.python, FLOORS, "rooms_textbook:app", {}),
                ]
                first = number % len(contenders)
                for connections in options.connections:
                    for contender in contenders[first:] + contenders[:first]:
                        with serving(contender, folder / "log", "--workers", str(workers)) as server:
                            result = _put(server, project, connections, options)
                            found[workers, connections, contender.name].append(result)
        _report(found)


def _report(found: dict[tuple[int, int, str], list[dict[str, float]]]) -> None:
    """Write the results of each, and the project's relative to the others in the same round."""
    rows, ratios = [], []
    for (workers, connections, name), results in sorted(found.items()):
        setting = [str(workers), str(connections), name]
        values = [f"{median(result[field] for result in results):.1f}" for field in FIELDS]
        rows.append([*setting, *values, f"{max(result['crowd'] for result in results):.0%}"])
        if name in PROTOCOLS:
            for other in (FLOOR, TEXTBOOK):
                pairs = list(zip(results, found[workers, connections, other], strict=True))
                ratios.append([*setting, other, *(_ratio(field, pairs) for field in FIELDS)])
    head = ["workers", "connections", "contender"]
    columns = ["deliveries/s", "p50 ms", "p99 ms", "CPU µs per delivery", "KiB per idle connection"]
    sys.stdout.write(table([*head, *columns, "crowd's CPU"], rows) + "\n")
    sys.stdout.write(table([*head, "relative to", *columns], ratios))


def _ratio(field: str, pairs: list[tuple[dict[str, float], dict[str, float]]]) -> str:
    # Few connections may fit into memory that the server has already allocated.
    each = [ours[field] / theirs[field] if theirs[field] > 0 else float("nan") for ours, theirs in pairs]
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


if __name__ == "__main__":
    main()
