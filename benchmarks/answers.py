"""Streamed answers, compared with the bare model: `uv run --group benchmarks python -m benchmarks.answers --help`."""

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
from benchmarks.servers import LOAD_CPU, Contender, Server, pinned, request, serving

READERS = Path(__file__).parent / "readers.py"
PROJECT, FLOOR = "project", "floor"
CONVERSATIONS = "/api/v1/assistant/conversations"
SETTINGS = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "RATE_LIMIT": "1000000000/minute",
    "STREAMS_PER_CALLER": "10000",
    "MAX_STREAMS": "10000",
    "LLM_MODEL": "keel.llm.model.embedded.EmbeddedModel:embedded",
    "LLM_ANSWERS_PER_CALLER": "10000",
    "LLM_CONCURRENT_ANSWERS": "10000",
    "LLM_TOKENS_PER_DAY": "0",
    "DATABASE_POOL_TIMEOUT": "60",
    "ENV_FILE": "",
}
"""As in production, with limits too high to matter."""

FIELDS = ("rate", "p50", "p99", "cost", "memory")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 50, 500])
    parser.add_argument("--tokens", type=int, default=400, help="tokens per answer (default: 400)")
    parser.add_argument(
        "--token-seconds", type=float, default=0.02, help="of the model, per token (default: 0.02)"
    )
    return parser.parse_args()


def _paths(server: Server, streams: int) -> list[str]:
    """Return the paths to post to: one conversation per stream."""
    if server.name == FLOOR:
        return ["/answer"] * streams
    answers = [request(server.port, "POST", CONVERSATIONS, b"{}") for _ in range(streams)]
    ids = [json.loads(answer.partition(b"\r\n\r\n")[2])["id"] for answer in answers]
    return [f"{CONVERSATIONS}/{id_}/messages" for id_ in ids]


def _read(server: Server, python: Path, streams: int, tokens: int) -> dict[str, float]:
    """Ask and read; return the readers' results and the server's cost.

    Memory is KiB of the server's private pages per open stream, cost is microseconds of CPU time per token.
    """
    process = psutil.Process(server.process.pid)
    command = [str(python), str(READERS), str(server.port), str(tokens)]
    # Exclude imports and connections made for the first answer from the memory of streams.
    subprocess.run(
        [*command[:-1], "5", *_paths(server, 1)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=clean_environment(),
    )
    paths = _paths(server, streams)
    time.sleep(1)
    before, spent = process.memory_full_info().uss, server.processor_time
    readers = subprocess.Popen(
        pinned(LOAD_CPU, [*command, *paths]), stdout=subprocess.PIPE, env=clean_environment()
    )
    if readers.stdout is None or readers.stdout.readline() != b"streaming\n":
        readers.kill()
        raise RuntimeError(f"{server.name}: not all of {streams} streams started")
    memory = (process.memory_full_info().uss - before) / 1024 / streams
    output, _ = readers.communicate()
    cost = (server.processor_time - spent) / (streams * tokens) * 1e6
    return {**json.loads(output), "cost": cost, "memory": memory}


def main() -> None:
    """Render, install, run, measure, report."""
    options = _arguments()
    speed = {"LLM_EMBEDDED_SECONDS": str(options.token_seconds)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-answers-")))
        project = render(folder / "project", options.database, llm=True)
        settings = SETTINGS | speed
        migrate = lambda store: project.run("app", "migrate", env=settings | store)  # noqa: E731 - one line, used once
        make = stack.enter_context(getattr(stores, options.database)(folder))
        store = stack.enter_context(make("project", migrate))
        sys.stdout.write(
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
            f"{options.database}; answers of {options.tokens} tokens, {options.token_seconds} s each, "
            f"{options.rounds} rounds, load average {os.getloadavg()[0]:.1f}\n\n"
        )
        contenders = [
            Contender(PROJECT, project.python, project.path, "app.main:app", settings | store),
            Contender(
                FLOOR, project.python, FLOORS, "answers_floor:app", speed | {"PYTHONPATH": str(project.path)}
            ),
        ]
        _report(_measure(contenders, project, folder, options))


def _measure(
    contenders: list[Contender], project: Project, folder: Path, options: argparse.Namespace
) -> dict[tuple[int, str], list[dict[str, float]]]:
    found: dict[tuple[int, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(options.rounds):
        for streams in options.streams:
            for contender in contenders[:: 1 if number % 2 else -1]:
                with serving(contender, folder / "log") as server:
                    result = _read(server, project.python, streams, options.tokens)
                    found[streams, contender.name].append(result)
    return found


def _report(found: dict[tuple[int, str], list[dict[str, float]]]) -> None:
    """Write the results of each, and the project's relative to the floor in the same round."""
    rows, ratios = [], []
    for (streams, name), results in sorted(found.items()):
        values = [f"{median(result[field] for result in results):.1f}" for field in FIELDS]
        rows.append([str(streams), name, *values, f"{max(result['crowd'] for result in results):.0%}"])
        if name == PROJECT:
            pairs = list(zip(results, found[streams, FLOOR], strict=True))
            added = median(ours["p50"] - theirs["p50"] for ours, theirs in pairs)
            ratios.append(
                [
                    str(streams),
                    f"{added:.1f}",
                    *(_ratio(field, pairs) for field in ("rate", "cost", "memory")),
                ]
            )
    columns = ["tokens/s", "first token p50 ms", "p99 ms", "CPU µs per token", "KiB per stream"]
    sys.stdout.write(table(["streams", "contender", *columns, "readers' CPU"], rows) + "\n")
    head = ["streams", "added to the first token, ms", "relative tokens/s", "CPU", "memory"]
    sys.stdout.write(table(head, ratios))


def _ratio(field: str, pairs: list[tuple[dict[str, float], dict[str, float]]]) -> str:
    each = [ours[field] / theirs[field] if theirs[field] > 0 else float("nan") for ours, theirs in pairs]
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


if __name__ == "__main__":
    main()
