"""Small helpers."""

import pytest

from app.core.etags import etag, matches
from app.core.text import fold


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Café", "cafe"), ("Cafe\u0301", "cafe"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("İ", "i"), ("ﬁ", "fi")],
)
def test_fold(text: str, expected: str) -> None:
    """Case, accents and ways to encode them make no difference."""
    assert fold(text) == expected


@pytest.mark.parametrize(
    ("header", "weak", "expected"),
    [
        (None, False, False),
        ("", False, False),
        ("*", False, True),
        ('"3"', False, True),
        ('"2", "3"', False, True),
        ('W/"3"', False, False),
        ('W/"3"', True, True),
        ("3", True, False),
        ('"33"', False, False),
    ],
)
def test_entity_tags(header: str | None, *, weak: bool, expected: bool) -> None:
    """Only `If-None-Match` compares weakly."""
    assert matches(header, 3, weak=weak) is expected
    assert etag(3) == '"3"'
