"""Text in CSV that a spreadsheet would run as a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_FORMULA = "^[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]"
"""First characters of formulas in some spreadsheet; a formula can start programs, or send the row to a server."""


def guarded(table: pa.Table) -> pa.Table:
    """Return a table in which text that would be run gets a leading apostrophe (OWASP, CSV injection)."""
    import pyarrow as pa
    from pyarrow import compute

    # Its functions are generated at run time, so type checkers do not see them.
    functions: Any = compute
    for index, field in enumerate(table.schema):
        if field.type == pa.string():
            text = table.column(index)
            safe = functions.binary_join_element_wise("'", text, "")
            found = functions.match_substring_regex(text, _FORMULA)
            table = table.set_column(index, field, functions.if_else(found, safe, text))
    return table
