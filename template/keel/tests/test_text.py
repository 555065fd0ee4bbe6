"""Small helpers."""

from keel.text import normalize_for_search
from keel.web.conditional import etag, matches

FOLDED = {"Café": "cafe", "Cafe\u0301": "cafe", "STRASSE": "strasse", "Straße": "strasse", "İ": "i", "ﬁ": "fi"}


def test_normalize_for_search() -> None:
    """Case, accents and Unicode normalization make no difference."""
    assert {text: normalize_for_search(text) for text in FOLDED} == FOLDED


MATCHES = {
    (None, False): False,
    ("", False): False,
    ("*", False): True,
    ('"3"', False): True,
    ('"2", "3"', False): True,
    ('W/"3"', False): False,
    ('W/"3"', True): True,
    ("3", True): False,
    ('"33"', False): False,
}


def test_entity_tags() -> None:
    """Only `If-None-Match` compares weakly."""
    assert {(header, weak): matches(header, 3, weak=weak) for header, weak in MATCHES} == MATCHES
    assert etag(3) == '"3"'
