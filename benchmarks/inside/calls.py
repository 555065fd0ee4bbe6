"""Counts the function calls of requests: `calls.py TARGET TOKEN`, with an application such as `app.main:app`.

Prints a line of JSON: for each case the calls of a request, its microseconds of processor time (the least of some
batches), and the calls by the package of what is called. What happens in other threads is not counted as calls.
"""

import cProfile
import json
import os
import pstats
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop
from asking import Asker

REQUESTS, BATCHES = 100, 7
NOTES = "/api/v1/notes"
BODY = json.dumps({"title": "A note of middling length", "body": "- measure the harbour\n" * 8}).encode()


def _part(function: tuple[str, int, str]) -> str:
    """Return the package of a function, as far as that says what it is part of."""
    file, _, name = function
    if file == "~":
        return "built in"
    parts = Path(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    for root in ("keel", "app"):
        if root in parts:
            return "/".join(parts[parts.index(root) :][:3])
    return name if file.startswith("<") else "standard library"


async def _count(asker: Asker, method: str, target: str, body: bytes) -> dict[str, Any]:
    """Return what a request takes."""
    for _ in range(20):
        await asker.ask(method, target, body)
    costs = []
    for _ in range(BATCHES):
        began = time.process_time()
        for _ in range(REQUESTS):
            await asker.ask(method, target, body)
        costs.append((time.process_time() - began) / REQUESTS * 1e6)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(REQUESTS):
        await asker.ask(method, target, body)
    profile.disable()
    stats: Any = pstats.Stats(profile)
    parts: Counter[str] = Counter()
    for function, (_, calls, *_) in stats.stats.items():
        parts[_part(function)] += calls
    each = {part: round(calls / REQUESTS, 1) for part, calls in parts.most_common()}
    return {"calls": round(sum(parts.values()) / REQUESTS, 1), "cost": round(min(costs), 1), "parts": each}


async def main(target: str, token: str) -> None:
    """Run the application, count, print."""
    module, _, name = target.partition(":")
    app = getattr(import_module(module), name)
    async with app.router.lifespan_context(app):
        asker = Asker(app, token)
        note = await asker.json("POST", NOTES, BODY)
        cases = {
            "health": ("GET", "/healthz", b""),
            "GET one": ("GET", f"{NOTES}/{note['id']}", b""),
            "GET list of 20": ("GET", f"{NOTES}?limit=20", b""),
            "POST": ("POST", NOTES, BODY),
        }
        found = {name: await _count(asker, *case) for name, case in cases.items()}
    os.write(RESULTS, json.dumps(found).encode() + b"\n")


# The application's log goes to standard output: it is written, as in production, and not read.
RESULTS = os.dup(1)
with Path(os.devnull).open("wb") as nowhere:
    os.dup2(nowhere.fileno(), 1)

if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    uvloop.run(main(*sys.argv[1:]))
