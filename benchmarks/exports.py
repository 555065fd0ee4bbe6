"""Exports of many notes: a task worker writes a file, and the server sends it."""

import asyncio
import json
import subprocess
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import asyncpg
import psutil

from benchmarks.accounts import sign_in
from benchmarks.project import clean_environment
from benchmarks.report import table
from benchmarks.servers import SERVER_CPU, Contender, Server, pinned, request, serving
from benchmarks.stores import NOTES

TASKS = "/api/v1/tasks"
DEADLINE = 300.0


def measure(contender: Contender, notes: int, folder: Path) -> str:
    """Export `notes` notes in each format in turn; return a table."""
    log = folder / "worker.log"
    env = clean_environment() | contender.env
    command = pinned(SERVER_CPU, [str(contender.python), "-m", "app", "celery", "--concurrency=1"])
    with serving(contender, folder / "server.log") as server, log.open("wb") as output:
        worker = subprocess.Popen(command, cwd=contender.folder, env=env, stdout=output, stderr=output)
        try:
            token = sign_in(server.port, contender.routes)
            _export(server, worker, token, "csv", 1)  # Warm up; waits until the worker has started.
            asyncio.run(_fill(contender.env["DATABASE_URL"].replace("+asyncpg", ""), notes))
            rows = [_export(server, worker, token, format_, notes) for format_ in ("csv", "jsonl")]
        finally:
            worker.terminate()
            worker.wait()
    head = [
        "notes",
        "format",
        "MiB",
        "notes/s",
        "worker's CPU µs per note",
        "worker's memory, MiB",
        "at most",
    ]
    return table([*head, "download, MiB/s", "server grows by, MiB"], rows)


def _export(
    server: Server, worker: "subprocess.Popen[bytes]", token: str, format_: str, notes: int
) -> list[str]:
    """Export, wait, download; return a row."""
    wanted = json.dumps({"kind": "notes", "format": format_}).encode()
    before, spent = _memory(worker.pid), _processor_time(worker.pid)
    task = _json(request(server.port, "POST", f"{TASKS}/exports", wanted, token))
    deadline, most = time.monotonic() + DEADLINE, before
    while task["state"] not in {"succeeded", "failed"}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"an export did not finish: {task}")
        time.sleep(0.1)
        most = max(most, _memory(worker.pid))
        task = _json(request(server.port, "GET", f"{TASKS}/{task['id']}", token=token))
    spent = _processor_time(worker.pid) - spent
    if task["state"] == "failed" or task["result"]["rows"] < notes:
        raise RuntimeError(f"an export failed: {task}")
    took = (
        datetime.fromisoformat(task["finished_at"]) - datetime.fromisoformat(task["started_at"])
    ).total_seconds()
    size, memory = task["result"]["bytes"] / 2**20, server.memory
    asked = time.perf_counter()
    answer = request(server.port, "GET", f"{TASKS}/{task['id']}/result", token=token)
    rate = len(answer) / 2**20 / (time.perf_counter() - asked)
    counts = (notes / took, spent / notes * 1e6, before, most, rate, max(0.0, server.memory - memory))
    return [f"{notes:,}", format_, f"{size:.0f}", *(f"{count:,.0f}" for count in counts)]


def _json(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 20" not in head.partition(b"\r\n")[0]:
        raise RuntimeError(answer.decode(errors="replace"))
    return json.loads(body)


def _processes(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _memory(pid: int) -> float:
    """Return the memory of all processes in MiB, private pages only, since most others are shared."""
    total = 0.0
    for process in _processes(pid):
        with suppress(psutil.Error):
            total += process.memory_full_info().uss / 2**20
    return total


def _processor_time(pid: int) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _processes(pid))


async def _fill(url: str, notes: int) -> None:
    """Copy a note until there are `notes` of them, created a second apart."""
    connection = await asyncpg.connect(url)
    try:
        note = await connection.fetchrow(f"SELECT * FROM {NOTES} LIMIT 1")
        moment = "created_at - number * interval '1 second'"
        values = {"id": "gen_random_uuid()", "created_at": moment, "updated_at": moment}
        columns = list(note.keys())
        copied = ", ".join(values.get(name, name) for name in columns)
        await connection.execute(
            f"INSERT INTO {NOTES} ({', '.join(columns)}) SELECT {copied} "
            f"FROM {NOTES}, generate_series(1, {notes}) AS number WHERE id = $1",
            note["id"],
        )
        surplus = f"SELECT id FROM {NOTES} ORDER BY created_at DESC, id OFFSET {notes}"
        await connection.execute(f"DELETE FROM {NOTES} WHERE id IN ({surplus})")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
