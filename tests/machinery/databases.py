"""Separate databases for checks: a file, or one created on the run's PostgreSQL and dropped afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Generator

_numbers = count()


@contextlib.contextmanager
def empty_database(kind: str, server: str | None, directory: Path) -> Generator[str]:
    """Yield the URL of an empty database, in the form of a rendered project's DATABASE_URL."""
    if kind == "sqlite":
        file = directory / f"check-{os.getpid()}-{next(_numbers)}.db"
        yield f"sqlite+aiosqlite:///{file}"
        for path in directory.glob(f"{file.name}*"):
            path.unlink()
        return
    if server is None:
        raise RuntimeError("This combination needs the run's PostgreSQL, which was not started")
    with _created(server, "") as url:
        yield url


@contextlib.contextmanager
def copied_database(url: str, server: str | None, directory: Path) -> Generator[str]:
    """Yield the URL of a copy of a database; there must be no connection to the original."""
    if server is not None and not url.startswith("sqlite"):
        with _created(server, f'TEMPLATE "{url.rpartition("/")[2]}"') as copy:
            yield copy
        return
    with empty_database("sqlite", None, directory) as copy:
        source, target = Path(url.partition("///")[2]), copy.partition("///")[2]
        for path in source.parent.glob(f"{source.name}*"):  # with its journal, if it has one
            shutil.copyfile(path, target + path.name.removeprefix(source.name))
        yield copy


@contextlib.contextmanager
def _created(server: str, options: str) -> Generator[str]:
    name = f"keel_check_{os.getpid()}_{next(_numbers)}"
    asyncio.run(_execute(server, f'CREATE DATABASE "{name}" {options}'))
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        asyncio.run(_execute(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Execute a statement and return its rows."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.partition("///")[2])) as connection:
            return connection.execute(statement).fetchall()
    return asyncio.run(_execute(url, statement))


async def _execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
