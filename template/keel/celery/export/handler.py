"""The handler of exports: reads rows a page at a time, and stores the file in chunks."""

from collections.abc import Mapping

from keel.celery.export.exporters import Exporter
from keel.celery.export.formats import Format, encoder
from keel.celery.tasks.context import TaskContext

EXPORT = "celery.export"

CHUNK = 256 * 1024
"""Bytes after which a chunk is stored."""


class ExportHandler:
    """Writes all objects of one kind that a subject owns into the result of a task."""

    def __init__(self, exporters: Mapping[str, Exporter]) -> None:
        self._exporters = exporters

    async def __call__(self, task: TaskContext) -> None:
        """Run an export; each attempt starts from the beginning.

        Raises:
            LookupError: no exporter is registered for the kind.
            Superseded: the task was cancelled, deleted, or given to another process.
        """
        exporter = self._exporters.get(task.payload["kind"])
        if exporter is None or task.owner is None:
            raise LookupError(task.payload["kind"])
        format_ = Format(task.payload["format"])
        await task.reset_result()
        session = task.database.read
        total = await exporter.count(session, task.owner)
        head, encode = encoder(format_, exporter.columns)
        buffer, rows, size = bytearray(head), 0, 0
        async for row in exporter.rows(session, task.owner):
            buffer += encode(row)
            rows += 1
            if len(buffer) >= CHUNK:
                # Below 1, even if rows were added after the count: only the state says that the export is complete.
                await task.write(bytes(buffer), min(rows / max(total, 1), 0.99))
                size += len(buffer)
                buffer.clear()
        await task.write(bytes(buffer), 0.99)
        size += len(buffer)
        async with task.finishing({"kind": task.payload["kind"], "format": format_, "rows": rows, "bytes": size}):
            pass
