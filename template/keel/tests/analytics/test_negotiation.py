"""Content negotiation (RFC 9110, 12.5.1)."""

import pytest

from keel.analytics.formats import Format
from keel.analytics.negotiation import MAX_RANGES, NotAcceptable, choose

OFFERED = [*Format]

ACCEPTED = [
    (None, Format.RECORDS),
    ("", Format.RECORDS),
    ("*/*", Format.RECORDS),
    ("application/*", Format.RECORDS),
    ("text/*", Format.CSV),
    ("TEXT/CSV", Format.CSV),
    ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", Format.RECORDS),
    ("text/csv;q=0.5, application/vnd.apache.parquet", Format.PARQUET),
    ("text/csv; q=0.9 , application/json; q=0.8", Format.CSV),
    # The most specific range determines a type's weight, regardless of order.
    ("*/*;q=0.9, application/json;q=0.1", Format.CSV),
    ("application/*, application/json;q=0", Format.PARQUET),
    ("application/json; orient=split", Format.SPLIT),
    ('application/json;orient="split"', Format.SPLIT),
    ("application/json, application/json;orient=split;q=0.5", Format.RECORDS),
    ("application/json;q=0.2, application/json;orient=split;q=0.5", Format.SPLIT),
    ("*/*;q=0.1, text/*", Format.CSV),
    ("*/*;orient=split, application/json;q=0.1", Format.RECORDS),
    # Of two equal ranges, the first counts.
    ("text/csv;q=0.1, text/csv;q=0.9, application/json;q=0.5", Format.RECORDS),
    # At equal weights, the server's order decides.
    ("application/vnd.apache.arrow.stream, text/csv", Format.CSV),
    # Malformed ranges and weights are ignored.
    (";;, text/csv;q=high", Format.CSV),
    ("text/csv;q=7", Format.CSV),
    ("text/csv;q=nan", Format.CSV),
    # A missing or malformed weight is 1, so the server's order decides.
    ("text/csv, application/json;q=1", Format.RECORDS),
    ("text/csv;q=high, application/json", Format.RECORDS),
    ("text/csv;q=1.5, application/json", Format.RECORDS),
    ("text/csv;q=7, application/json", Format.RECORDS),
]


@pytest.mark.parametrize(("accept", "expected"), ACCEPTED)
def test_choice(accept: str | None, expected: Format) -> None:
    """Decided by weight, then by the server's order; the most specific range gives the weight."""
    assert choose(accept, OFFERED) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "text/csv;q=0", "*/*;q=0", "application/json;orient=index", "csv", ","]
)
def test_not_acceptable(accept: str) -> None:
    """If every offered format is excluded or unmatched: 406, with a list of the offered ones."""
    with pytest.raises(NotAcceptable) as refused:
        choose(accept, OFFERED)

    assert (refused.value.status, refused.value.type) == (406, "urn:problem:not-acceptable")
    assert refused.value.headers == {"Vary": "Accept"}
    assert refused.value.members == {"offered": OFFERED}


def test_long_headers_are_truncated() -> None:
    """Ranges beyond the limit are ignored, so that a long header costs no more."""
    assert choose(",".join(["text/html"] * (MAX_RANGES - 1) + ["text/csv"]), OFFERED) == Format.CSV
    assert choose(",".join(["text/csv"] + ["text/html"] * 2 * MAX_RANGES), OFFERED) == Format.CSV
    with pytest.raises(NotAcceptable):
        choose(",".join(["text/html"] * MAX_RANGES + ["text/csv"]), OFFERED)
