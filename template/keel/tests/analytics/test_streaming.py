"""Large tables: streamed with constant memory, built in a bounded number of threads off the event loop."""

import asyncio
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncGenerator, Sequence
from typing import cast

import pyarrow as pa
import pytest
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from keel.about import ROOT
from keel.analytics.formats import Format
from keel.analytics.settings import AnalyticsSettings
from keel.analytics.tables import Tables
from keel.analytics.workers import Workers

ROWS = 300


class Row(BaseModel):
    """A row of about a hundred bytes."""

    number: int
    text: str


class Source:
    """Chunks of rows, counted as they are read."""

    def __init__(self, chunks: int, *, fails_at: int | None = None) -> None:
        self.chunks = chunks
        self.read = 0
        self.closed = False
        self._fails_at = fails_at

    async def chunks_of_rows(self) -> AsyncGenerator[Sequence[Row]]:
        """Yield the chunks."""
        try:
            for number in range(self.chunks):
                if number == self._fails_at:
                    raise LookupError("the database is gone")
                self.read += 1
                # Varied, so that no format can compress it away.
                yield [Row.model_construct(number=number, text=f"{hash((number, row)):0100d}") for row in range(ROWS)]
        finally:
            self.closed = True


async def stream(format_: Format, source: Source) -> AsyncGenerator[bytes]:
    """Return the parts of a streamed response."""
    tables = Tables(format_, Workers(AnalyticsSettings()))
    answer = await tables.stream(Row, source.chunks_of_rows(), "rows")
    assert isinstance(answer, StreamingResponse)
    return cast("AsyncGenerator[bytes]", answer.body_iterator)


@pytest.mark.parametrize("format_", Format)
async def test_chunks_are_read_as_they_are_sent(format_: Format) -> None:
    """At any time, at most one chunk more has been read than parts sent."""
    source = Source(20)
    parts = await stream(format_, source)

    taken = 0
    async for _ in parts:
        taken += 1
        assert source.read <= taken + 1
    assert source.read == 20
    assert taken >= 20


@pytest.mark.parametrize("format_", Format)
async def test_memory_is_constant(format_: Format) -> None:
    """Thirty chunks take less than twice the memory of three; a table in memory would take ten times as much."""

    async def peak(chunks: int) -> int:
        tracemalloc.reset_peak()
        before, arrow = tracemalloc.get_traced_memory()[0], 0
        async for _ in await stream(format_, Source(chunks)):
            arrow = max(arrow, pa.total_allocated_bytes())
        return tracemalloc.get_traced_memory()[1] - before + arrow

    await peak(1)
    tracemalloc.start()
    try:
        small, large = await peak(3), await peak(30)
    finally:
        tracemalloc.stop()

    assert large < 2 * small


async def test_client_disconnects() -> None:
    """Reading stops, and the source is closed."""
    source = Source(20)
    parts = await stream(Format.CSV, source)
    await anext(parts)
    await parts.aclose()

    assert source.closed
    assert source.read <= 2


async def test_error_before_response() -> None:
    """An error in the first chunk is raised before the status is sent."""
    with pytest.raises(LookupError):
        await stream(Format.RECORDS, Source(3, fails_at=0))


async def test_error_during_response() -> None:
    """The document is left unterminated, so that no reader takes it for complete."""
    parts = await stream(Format.RECORDS, Source(3, fails_at=1))

    found = [await anext(parts)]
    with pytest.raises(LookupError):
        found += [part async for part in parts]
    assert not b"".join(found).endswith(b"]")


async def test_threads_are_bounded() -> None:
    """Chunks are built in at most `threads` threads; the event loop is not blocked."""
    workers = Workers(AnalyticsSettings(threads=2))
    running, most, go, both = 0, 0, threading.Event(), asyncio.Event()
    loop, lock = asyncio.get_running_loop(), threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                loop.call_soon_threadsafe(both.set)
        go.wait()
        with lock:
            running -= 1

    tasks = [asyncio.create_task(workers.run(work)) for _ in range(6)]
    await both.wait()
    go.set()
    await asyncio.gather(*tasks)

    assert most == 2


def test_pandas_is_imported_by_the_first_table() -> None:
    """Not at startup: until then, a process is as small and starts as fast as without the feature."""
    code = (
        "import sys; from app.main import create_app; create_app(); "
        "print(sorted({'pandas', 'pyarrow', 'numpy'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert result.stdout.strip().splitlines()[-1] == "[]"
