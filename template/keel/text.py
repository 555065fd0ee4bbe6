"""Text that any database can store: without NUL, which PostgreSQL refuses; pydantic refuses lone surrogates."""

import unicodedata
from itertools import filterfalse
from typing import Annotated

from pydantic import Field

NO_NUL = r"^[^\x00]*$"
"""A pattern, not a validator, so that it is part of the OpenAPI document."""

SafeStr = Annotated[str, Field(pattern=NO_NUL)]


def normalize_for_search(text: str) -> str:
    """Return text for caseless, accent-blind matching: NFKD, combining marks dropped, case-folded (Unicode 3.13)."""
    if text.isascii():
        return text.lower()
    # A loop in C: in Python, a long text would block the event loop for tens of milliseconds.
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(filterfalse(unicodedata.combining, decomposed)).casefold()
