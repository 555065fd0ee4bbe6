"""Statements of the database as spans and durations, and how long connections to it are waited for.

OpenTelemetry's own instrumentation takes no SQLAlchemy of this age, and puts the text of errors, with people's data in
it, into spans.
"""

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from keel.observability.tracing import Call, Operation, meter

_WAITS = meter.create_histogram(
    "db.client.connection.wait_time",
    unit="s",
    description="Time that it took to get a connection from a pool: waiting for a free one, or making one",
    explicit_bucket_boundaries_advisory=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?(\w+)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def described(system: str, statement: str) -> Operation:
    """Return what calls of a statement have in common; its span is named like `SELECT notes`."""
    words = statement.split(None, 1)
    operation = words[0].upper() if words else "EXECUTE"
    table = _TABLE.search(statement)
    name = f"{operation} {table[1]}" if table else operation
    return Operation(system, operation, name=name, query=statement)


def watch(engine: AsyncEngine, pool: str) -> None:
    """See each statement and commit of an engine, and how long its pool, which has a name, keeps them waiting.

    Its dialect is asked to do them. SQLAlchemy's events would cost more, and none tells when a commit has ended, which is
    what waits for the disk, or when somebody began to wait for a connection.
    """
    _watch_waits(engine.sync_engine, {"db.client.connection.pool.name": pool})
    dialect = engine.sync_engine.dialect
    system = dialect.name

    def seen(execute: Callable[..., None]) -> Callable[..., None]:
        def timed(cursor: Any, statement: str, *arguments: Any) -> None:
            call = Call(described(system, statement))
            try:
                execute(cursor, statement, *arguments)
            except BaseException as error:
                call.end(error)
                raise
            call.end()

        return timed

    def commit(connection: Any, do: Callable[[Any], None] = dialect.do_commit) -> None:
        with Call(committing):
            do(connection)

    committing = Operation(system, "COMMIT")
    dialect.do_commit = commit  # ty: ignore[invalid-assignment]
    for name in ("do_execute", "do_executemany", "do_execute_no_params"):
        setattr(dialect, name, seen(getattr(dialect, name)))


def _watch_waits(engine: Engine, pool: dict[str, str]) -> None:
    def connect(connect: Callable[[], PoolProxiedConnection] = engine.raw_connection) -> PoolProxiedConnection:
        began = time.perf_counter()
        try:
            return connect()
        finally:
            _WAITS.record(time.perf_counter() - began, pool)

    engine.raw_connection = connect
