"""Writers: encode a table chunk by chunk. The parts together form one document; writers do not keep earlier parts.

Call them in `Workers.run`: all but JSON import pyarrow.
"""

import io
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic import BaseModel, TypeAdapter

from keel.analytics.columns import schema_of
from keel.analytics.csv_cells import guarded
from keel.analytics.formats import Format
from keel.analytics.frames import column, to_arrow

if TYPE_CHECKING:
    from pandas import DataFrame

Rows: TypeAlias = "Sequence[Any] | DataFrame"
"""Database rows, mappings or models; or a DataFrame with the model's columns."""


class Writer(Protocol):
    """Writes one table."""

    def write(self, rows: Any) -> bytes:
        """Return the next part of the document, with some rows; the first part includes the head."""
        ...

    def close(self) -> bytes:
        """Return the end of the document; `write` must have been called before, if only with no rows."""
        ...


def writer(format_: Format, row: type[BaseModel]) -> Writer:
    """Return a writer for the rows of a model."""
    if format_ is Format.RECORDS:
        return JsonWriter(row, split=False)
    if format_ is Format.SPLIT:
        return JsonWriter(row, split=True)
    return {Format.CSV: CsvWriter, Format.PARQUET: ParquetWriter, Format.ARROW: ArrowWriter}[format_](row)


class JsonWriter:
    """Objects, or with `split` arrays of values after an array of column names.

    Timestamps are RFC 3339, decimals strings, integers of any size numbers; NaN and infinities, which JSON cannot
    represent (RFC 8259, 6), are null.
    """

    def __init__(self, row: type[BaseModel], *, split: bool) -> None:
        self._row = row
        self._names = [*row.model_fields]
        self._split = split
        self._adapter = _adapter(row, split=split)
        self._before = b'{"columns":%s,"data":[' % TypeAdapter(list[str]).dump_json(self._names) if split else b"["

    def write(self, rows: Any) -> bytes:
        """Return some rows; all parts together form one array."""
        rows = rows if isinstance(rows, Sequence) else to_arrow(rows, self._row).to_pylist()
        if self._split:
            rows = [*zip(*(column(rows, name) for name in self._names), strict=True)]
        data = self._adapter.dump_json(self._adapter.validate_python(rows, from_attributes=True))[1:-1]
        if not data:
            return b""
        before, self._before = self._before, b","
        return before + data

    def close(self) -> bytes:
        """Return the end of the array."""
        before = b"" if self._before == b"," else self._before
        return before + (b"]}" if self._split else b"]")


@cache
def _adapter(row: type[BaseModel], *, split: bool) -> TypeAdapter[Any]:
    """Return the adapter that validates and encodes a model's rows. Building one takes longer than a small table."""
    fields = row.model_fields.values()
    kind: Any = tuple[tuple(f.rebuild_annotation() for f in fields)] if split else row  # ty: ignore[invalid-type-form]
    return TypeAdapter(Sequence[kind])


class CsvWriter:
    """RFC 4180, in UTF-8 with a header. Missing values are empty; text that spreadsheets would run gets an apostrophe."""

    def __init__(self, row: type[BaseModel]) -> None:
        from pyarrow.csv import CSVWriter, WriteOptions

        self._row = row
        self._sink = Sink()
        options = WriteOptions(eol="\r\n", quoting_header="needed")
        self._csv = CSVWriter(self._sink, schema_of(row), write_options=options)

    def write(self, rows: Any) -> bytes:
        """Return some rows."""
        self._csv.write_table(guarded(to_arrow(rows, self._row)))
        return self._sink.drain()

    def close(self) -> bytes:
        """Return the rest."""
        self._csv.close()
        return self._sink.drain()


class ParquetWriter:
    """Apache Parquet, with one row group per part; the schema is at the end."""

    def __init__(self, row: type[BaseModel]) -> None:
        from pyarrow.parquet import ParquetWriter as File

        self._row = row
        self._sink = Sink()
        self._file = File(self._sink, schema_of(row), compression="zstd")

    def write(self, rows: Any) -> bytes:
        """Return some rows."""
        self._file.write_table(to_arrow(rows, self._row))
        return self._sink.drain()

    def close(self) -> bytes:
        """Return the end of the file."""
        self._file.close()
        return self._sink.drain()


class ArrowWriter:
    """Arrow's IPC streaming format: readers can use each part as it arrives."""

    def __init__(self, row: type[BaseModel]) -> None:
        from pyarrow import ipc

        self._row = row
        self._sink = Sink()
        self._stream = ipc.new_stream(self._sink, schema_of(row))

    def write(self, rows: Any) -> bytes:
        """Return some rows."""
        self._stream.write_table(to_arrow(rows, self._row))
        return self._sink.drain()

    def close(self) -> bytes:
        """Return the end of the stream."""
        self._stream.close()
        return self._sink.drain()


class Sink(io.RawIOBase):
    """A file that is emptied after each write."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Return true."""
        return True

    def write(self, data: Any) -> int:
        """Append a copy of some bytes: the writer reuses its buffer."""
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def drain(self) -> bytes:
        """Return the bytes written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
