"""An incremental CSV parser (RFC 4180): it keeps at most one record in memory, whatever the size of the file."""

import csv
from codecs import getincrementaldecoder
from collections.abc import Iterator
from io import StringIO

MAX_RECORD = 500_000
"""Characters of a record; cells have at most 131,072 (`csv.field_size_limit`)."""


class CsvError(Exception):
    """The file is not valid CSV."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class CsvRecords:
    """Splits a file into records."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8-sig")()
        self._rest = ""
        self._lines = 0
        """Complete lines before the rest."""

    def feed(self, data: bytes) -> Iterator[tuple[int, list[str]]]:
        """Yield the records that end in the next piece: the line on which each begins, and its cells.

        Raises:
            CsvError: the file is not UTF-8, a record is too long, or a cell is quoted wrongly.
        """
        text = self._rest + self._decode(data)
        end = _end_of_records(text)
        self._rest = text[end:]
        yield from self._parse(text[:end])
        if len(self._rest) > MAX_RECORD:
            raise CsvError(self._lines + 1, "The row does not end; is a quotation mark missing?")

    def close(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the last record, if no line break ends it; raise as `feed` does."""
        rest, self._rest = self._rest + self._decode(b"", final=True), ""
        yield from self._parse(rest)

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            lines = self._rest.count("\n") + error.object[: error.start].count(b"\n")
            raise CsvError(self._lines + lines + 1, "The file is not in UTF-8.") from None

    def _parse(self, text: str) -> Iterator[tuple[int, list[str]]]:
        before, reader = self._lines, csv.reader(StringIO(text, newline=""), strict=True)
        try:
            for cells in reader:
                if cells:
                    yield self._lines + 1, cells
                self._lines = before + reader.line_num
        except csv.Error as error:
            raise CsvError(self._lines + 1, f"The row can't be read: {error}.") from None


def _end_of_records(text: str) -> int:
    """Return the end of the last record: after a line break outside quotes, so an even number of them precedes it."""
    end, quotes = len(text), text.count('"')
    while end:
        start = text.rfind("\n", 0, end) + 1
        quotes -= text.count('"', start, end)
        if quotes % 2 == 0:
            return start
        end = start - 1
    return 0
