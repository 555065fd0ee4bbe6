"""Small helpers."""

import pytest
from pydantic import TypeAdapter, ValidationError

from keel.text import SafeStr, normalize_for_search

FOLDED = {"Café": "cafe", "Cafe\u0301": "cafe", "STRASSE": "strasse", "Straße": "strasse", "İ": "i", "ﬁ": "fi"}


def test_normalize_for_search() -> None:
    """Case, accents and Unicode normalization make no difference."""
    assert {text: normalize_for_search(text) for text in FOLDED} == FOLDED


def test_safe_text() -> None:
    """Only NUL is refused: PostgreSQL can store all else."""
    texts = TypeAdapter(SafeStr)

    assert texts.validate_python("a\n\x01ü") == "a\n\x01ü"
    with pytest.raises(ValidationError):
        texts.validate_python("a\x00b")
