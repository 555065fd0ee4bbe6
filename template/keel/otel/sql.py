"""Instrumentation of SQLAlchemy: spans and durations of statements and commits, and waits for connections.

OpenTelemetry's own instrumentation does not support SQLAlchemy 2.1, and puts the text of errors, which may hold
personal data, into spans.
"""

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from keel.observability.calls import Call, Operation
from keel.observability.tracing import meter

_WAITS = meter.create_histogram(
    "db.client.connection.wait_time",
    unit="s",
    description="Time to get a connection from a pool: waiting for a free one, or connecting",
    explicit_bucket_boundaries_advisory=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?(\w+)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def described(system: str, statement: str) -> Operation:
    """Return the operation of a statement; its span has a name such as `SELECT books`."""
    words = statement.split(None, 1)
    operation = words[0].upper() if words else "EXECUTE"
    table = _TABLE.search(statement)
    name = f"{operation} {table[1]}" if table else operation
    return Operation(system, operation, name=name, query=statement)


def instrument(engine: AsyncEngine, pool: str) -> None:
    """Measure the statements and commits of an engine, and waits for connections of its pool, under a name.

    This wraps methods of the dialect. SQLAlchemy's events cost more, and none fires when a commit, which waits for the
    disk, has ended, or when a wait for a connection begins.
    """
    _measure_waits(engine.sync_engine, {"db.client.connection.pool.name": pool})
    dialect = engine.sync_engine.dialect
    system = dialect.name

    def timed(execute: Callable[..., None]) -> Callable[..., None]:
        def run(cursor: Any, statement: str, *arguments: Any) -> None:
            call = Call(described(system, statement))
            try:
                execute(cursor, statement, *arguments)
            except BaseException as error:
                call.end(error)
                raise
            call.end()

        return run

    def commit(connection: Any, do: Callable[[Any], None] = dialect.do_commit) -> None:
        with Call(committing):
            do(connection)

    committing = Operation(system, "COMMIT")
    dialect.do_commit = commit  # ty: ignore[invalid-assignment]
    for name in ("do_execute", "do_executemany", "do_execute_no_params"):
        setattr(dialect, name, timed(getattr(dialect, name)))


def _measure_waits(engine: Engine, pool: dict[str, str]) -> None:
    def connect(connect: Callable[[], PoolProxiedConnection] = engine.raw_connection) -> PoolProxiedConnection:
        began = time.perf_counter()
        try:
            return connect()
        finally:
            _WAITS.record(time.perf_counter() - began, pool)

    engine.raw_connection = connect
