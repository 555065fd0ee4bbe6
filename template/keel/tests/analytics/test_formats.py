"""Round trips through pandas and pyarrow: no value loses digits, time zone or type."""

import csv
import io
import json
import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import ipc, parquet
from pydantic import BaseModel, Field, TypeAdapter, conint

from keel.analytics.columns import schema_of
from keel.analytics.formats import Format, content
from keel.analytics.frames import to_arrow, to_frame
from keel.analytics.writers import writer
from keel.tests.analytics.values import NOTHING, ROWS, Row

FLOATS = [0.1 + 0.2, None, math.nan, math.inf, -math.inf]


def written(format_: Format, rows: Any, row: type[BaseModel] = Row, chunk: int = 2) -> bytes:
    """Return a document written in chunks."""
    file = writer(format_, row)
    parts = [file.write(rows[start : start + chunk]) for start in range(0, len(rows), chunk)]
    return b"".join([*parts, file.close()])


def plain(value: Any) -> Any:
    """Return a value, or "NaN" for NaN, which does not equal itself."""
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize(
    ("format_", "read"),
    [
        (Format.PARQUET, lambda data: parquet.read_table(io.BytesIO(data))),
        (Format.ARROW, lambda data: ipc.open_stream(data).read_all()),
    ],
)
def test_binary_formats_preserve_values(format_: Format, read: Callable[[bytes], pa.Table]) -> None:
    """Every value is preserved, NaN and missing values separately."""
    table = read(written(format_, ROWS))

    assert table.schema.equals(schema_of(Row))
    assert [[plain(value) for value in row.values()] for row in table.to_pylist()] == [
        [str(value) if name == "id" and value else plain(value) for name, value in row.items()] for row in ROWS
    ]


def test_json_records() -> None:
    """Integers keep all digits, decimals are strings, datetimes have a zone; NaN and infinities are null."""
    rows = json.loads(written(Format.RECORDS, ROWS))

    assert TypeAdapter(list[Row]).validate_python(rows) == [
        Row.model_validate(row | {"number": row["number"] if math.isfinite(row["number"] or 0) else None})
        for row in ROWS
    ]
    assert rows[0]["price"] == "99999999999999999999.99"
    assert rows[0]["large"] == 10**29 + 1


def test_json_split() -> None:
    """The same values in column order, readable by pandas."""
    split = json.loads(written(Format.SPLIT, ROWS))

    assert [dict(zip(split["columns"], values, strict=True)) for values in split["data"]] == json.loads(
        written(Format.RECORDS, ROWS)
    )
    frame = pd.DataFrame(split["data"], columns=split["columns"])
    assert [*frame.columns] == [*Row.model_fields]
    assert len(frame) == len(ROWS)


def test_csv() -> None:
    """Values are read back by column type; text that would be a formula is escaped."""
    data = written(Format.CSV, ROWS)

    assert data.count(b"\r\n") == len(ROWS) + 2  # the header, and the line break in a text
    lines = [*csv.DictReader(io.StringIO(data.decode(), newline=""))]
    assert [line["text"] for line in lines] == [ROWS[0]["text"], "", "", "", "'=HYPERLINK(1)"]
    assert [float(line["number"]) if line["number"] else None for line in lines][:2] == FLOATS[:2]
    frame = pd.read_csv(io.BytesIO(data), dtype_backend="pyarrow", dtype={"price": object, "large": object})
    assert [plain(value) if pd.notna(value) else "missing" for value in frame["number"]] == [
        *(FLOATS[0], "missing", "missing", math.inf, -math.inf)
    ]
    assert [Decimal(value) if pd.notna(value) else None for value in frame["price"]] == [row["price"] for row in ROWS]
    assert int(frame["large"][0]) == 10**29 + 1
    assert [None if pd.isna(value) else int(value) for value in frame["count"]] == [row["count"] for row in ROWS]
    assert datetime.fromisoformat(frame["moment"][0]) == ROWS[0]["moment"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_formulas_do_not_run(start: str) -> None:
    """Formulas are escaped by an apostrophe, in later rows, too; numbers stay numbers."""
    rows = [NOTHING | {"text": "a"}, NOTHING | {"text": f"{start}1", "number": -1.0}]

    lines = [*csv.DictReader(io.StringIO(written(Format.CSV, rows).decode(), newline=""))]

    assert [line["text"] for line in lines] == ["a", f"'{start}1"]
    assert lines[1]["number"] == "-1"


@pytest.mark.parametrize("format_", Format)
def test_no_rows(format_: Format) -> None:
    """A table without rows still has its columns."""
    data = written(format_, [])

    expected = {
        Format.RECORDS: b"[]",
        Format.CSV: ",".join(f'"{name}"' for name in Row.model_fields).encode() + b"\r\n",
    }
    if format_ in expected:
        assert data == expected[format_]
    if format_ is Format.SPLIT:
        assert json.loads(data) == {"columns": [*Row.model_fields], "data": []}
    if format_ is Format.PARQUET:
        assert parquet.read_table(io.BytesIO(data)).num_rows == 0


@pytest.mark.parametrize("format_", Format)
def test_chunks_make_no_difference(format_: Format) -> None:
    """The document is the same for any chunk sizes, including empty chunks."""
    read: dict[Format, Callable[[bytes], Any]] = {
        Format.PARQUET: lambda data: parquet.read_table(io.BytesIO(data)).num_rows,
        Format.ARROW: lambda data: ipc.open_stream(data).read_all().num_rows,
    }
    file = writer(format_, Row)
    parts = [file.write([]), file.write(ROWS[:1]), file.write([]), file.write(ROWS[1:]), file.close()]

    decode = read.get(format_, lambda data: data)
    assert decode(b"".join(parts)) == decode(written(format_, ROWS, chunk=5))


def test_frames() -> None:
    """A DataFrame made from rows has their types, and can be written."""
    frame = to_frame(ROWS, Row)

    assert str(frame["count"].dtype) == "int64[pyarrow]"
    assert frame["count"].dropna().tolist() == [2**63 - 1, -(2**63)]
    assert frame["price"][0] == ROWS[0]["price"]
    assert to_arrow(frame, Row).num_rows == len(ROWS)


def test_custom_frame() -> None:
    """NaN and NaT in a DataFrame are missing values: null in JSON, empty in CSV; integers beside them are kept."""

    class Own(BaseModel):
        mean: float | None
        count: int | None
        at: datetime | None

    moments = pd.to_datetime(["2026-01-01T00:00:00+01:00", None], utc=True)
    frame = pd.DataFrame({"mean": [1.5, math.nan], "count": [2, None], "at": moments})

    file = writer(Format.RECORDS, Own)
    assert json.loads(file.write(frame) + file.close()) == [
        {"mean": 1.5, "count": 2, "at": "2025-12-31T23:00:00Z"},
        {"mean": None, "count": None, "at": None},
    ]
    file = writer(Format.CSV, Own)
    lines = (file.write(frame) + file.close()).decode().splitlines()
    assert lines == ['"mean","count","at"', "1.5,2,2025-12-31 23:00:00.000000Z", ",,"]


def test_values_out_of_range() -> None:
    """Too many digits, too large an integer, a naive datetime: an error rather than a changed value."""
    with pytest.raises(pa.ArrowInvalid):
        to_arrow([NOTHING | {"price": Decimal("0.001")}], Row)
    with pytest.raises(OverflowError):
        to_arrow([NOTHING | {"count": 2**63}], Row)
    with pytest.raises(ValueError, match="needs a time zone"):
        to_arrow([NOTHING | {"moment": datetime(2026, 1, 1)}], Row)  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, pa.int64()),
        (Annotated[int, Field(ge=0, lt=2**63)], pa.int64()),
        (Annotated[int, Field(le=2**63 - 1)], pa.int64()),
        (conint(le=2**63 - 1), pa.int64()),
        (Annotated[int, Field(lt=2**63 + 1)], pa.decimal128(38, 0)),
        (Annotated[int, Field(le=2**63)], pa.decimal128(38, 0)),
        (conint(le=2**63) | None, pa.decimal128(38, 0)),
    ],
)
def test_integer_columns(annotation: Any, expected: pa.DataType) -> None:
    """64 bits, unless the model allows larger values."""
    row = type("Bound", (BaseModel,), {"__annotations__": {"value": annotation}})

    assert schema_of(row).field("value").type == expected


def test_media_types() -> None:
    """CSV declares its encoding; files have the usual extensions."""
    assert {each.content_type for each in Format} - {*Format} == {"text/csv; charset=utf-8; header=present"}
    assert [each.extension for each in Format] == ["", "", ".csv", ".parquet", ".arrows"]


def test_documented_content() -> None:
    """OpenAPI content for every format except the first, which the route itself describes."""

    class Pair(BaseModel):
        left: int
        right: str

    binary = {"schema": {"type": "string", "format": "binary"}}
    columns = {"type": "array", "items": {"type": "string", "enum": ["left", "right"]}}
    data = {"type": "array", "items": {"type": "array", "items": {}}}
    split = {
        "type": "object",
        "title": "PairSplit",
        "required": ["columns", "data"],
        "properties": {"columns": columns, "data": data},
    }
    expected = {Format.SPLIT: {"schema": split}, **dict.fromkeys((Format.CSV, Format.PARQUET, Format.ARROW), binary)}
    assert content(Pair) == expected


@pytest.mark.parametrize("annotation", [Decimal, Annotated[Decimal, Field(max_digits=5)], list[str], int | str])
def test_unsupported_columns(annotation: Any) -> None:
    """A model with a column that has no exact Arrow type is refused; the message names the column."""
    row = type("Bad", (BaseModel,), {"__annotations__": {"value": annotation}})

    with pytest.raises(TypeError, match=r"Bad\.value"):
        schema_of(row)
