"""The work of an export: rows are read a page at a time, and written away a piece at a time."""

from fastapi import FastAPI

from keel.background.exports import Exports
from keel.celery.formats import Format, encoder
from keel.celery.run import Run
from keel.services import services_of

EXPORT = "worker.export"

CHUNK = 256 * 1024
"""Bytes of a piece of the result, more or less."""


class ExportWork:
    """Writes everything of one kind that a subject has into the result of a task."""

    def __init__(self, app: FastAPI) -> None:
        self._exports: Exports = services_of(app).exports

    async def __call__(self, run: Run) -> None:
        """Do an export; a second attempt begins anew."""
        exporter = self._exports.get(run.payload["kind"])
        if exporter is None or run.owner is None:
            raise LookupError(run.payload["kind"])
        format_ = Format(run.payload["format"])
        await run.begin_result()
        session = run.database.read
        total = await exporter.count(session, run.owner)
        head, encode = encoder(format_, exporter.columns)
        buffer, rows, size = bytearray(head), 0, 0
        async for row in exporter.rows(session, run.owner):
            buffer += encode(row)
            rows += 1
            if len(buffer) >= CHUNK:
                # What was added meanwhile does not make it more than all; the end is said by the state.
                await run.add(bytes(buffer), min(rows / max(total, 1), 0.99))
                size += len(buffer)
                buffer.clear()
        await run.add(bytes(buffer), 0.99)
        size += len(buffer)
        async with run.finishing({"kind": run.payload["kind"], "format": format_, "rows": rows, "bytes": size}):
            pass
