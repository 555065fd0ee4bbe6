"""Text that a database can store: no NUL, which PostgreSQL refuses; pydantic already refuses lone surrogates."""

import unicodedata
from typing import Annotated

from pydantic import Field

NO_NUL = r"^[^\x00]*$"
"""A pattern rather than a validator, so that the OpenAPI document says it too."""

Text = Annotated[str, Field(pattern=NO_NUL)]


def fold(text: str) -> str:
    """Return text for caseless, accent-blind matching: NFKD, combining marks dropped, case-folded (Unicode 3.13)."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
