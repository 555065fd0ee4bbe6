"""Validation of a file's rows: notes, or faults."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from app.examples.notes.imports.csv_records import CsvError, CsvRecords
from app.examples.notes.schemas import NoteCreate

COLUMNS = ("title", "body", "tags")
MAX_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a row, or of the file from a row on."""

    line: int
    column: str | None
    reason: str
    whole_file: bool = False

    def __str__(self) -> str:
        """Return the reason, with the column if it concerns one."""
        return f"{self.column}: {self.reason}" if self.column else self.reason


async def read_rows(file: AsyncIterable[bytes]) -> AsyncIterator[NoteCreate | Fault]:
    """Yield the note of each row, or its faults; a fault of the whole file comes last."""
    records, rows = CsvRecords(), _Rows()
    try:
        async for data in file:
            for line, cells in records.feed(data):
                for row in rows.read(line, cells):
                    yield row
        for line, cells in records.close():
            for row in rows.read(line, cells):
                yield row
        if not rows.header:
            raise CsvError(1, f"The file is empty; its first row must name the columns: {', '.join(COLUMNS)}.")
    except CsvError as error:
        yield Fault(error.line, None, error.reason, whole_file=True)


class _Rows:
    """Reads rows by the header, which is the first of them."""

    def __init__(self) -> None:
        self.header: Sequence[str] = ()
        self._count = 0

    def read(self, line: int, cells: Sequence[str]) -> Iterator[NoteCreate | Fault]:
        """Yield the note of a row, or its faults; nothing for the header.

        Raises:
            CsvError: the header is wrong, or there are too many rows.
        """
        if not self.header:
            self.header = [cell.strip().lower() for cell in cells]
            if "title" not in self.header or sorted(self.header) != sorted({*self.header} & {*COLUMNS}):
                raise CsvError(line, f"The first row must name the columns, any of: {', '.join(COLUMNS)}.")
            return
        self._count += 1
        if self._count > MAX_ROWS:
            raise CsvError(line, f"The file has more than {MAX_ROWS} rows.")
        if len(cells) != len(self.header):
            yield Fault(line, None, f"The row has {len(cells)} cells, not {len(self.header)}.")
            return
        values = dict(zip(self.header, cells, strict=True))
        tags = [tag.strip() for tag in values.pop("tags", "").split(";")]
        try:
            yield NoteCreate.model_validate({**values, "tags": [tag for tag in tags if tag]})
        except ValidationError as error:
            for each in error.errors(include_url=False, include_context=False, include_input=False):
                yield Fault(line, str(each["loc"][0]), each["msg"])
