"""Content negotiation (RFC 9110, 12.5.1)."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus

from keel.web.errors import AppError

MAX_RANGES = 32
"""The most media ranges of an `Accept` header; the rest are ignored."""

_PARAMETERS = 10
_EXACT, _SUBTYPE, _ANY = 2, 1, 0


class NotAcceptable(AppError):
    """The resource is not available in a media type that the caller accepts."""

    status = HTTPStatus.NOT_ACCEPTABLE
    type = "urn:problem:not-acceptable"


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered media type that a caller prefers; among equals, the first.

    A range with parameters matches only types with these parameters; `q=0` excludes.

    Raises:
        NotAcceptable: the caller accepts none of them.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [*_ranges(accept)]
    weighed = {media_type: _weight(media_type, ranges) for media_type in offered}
    best = max(offered, key=weighed.__getitem__)
    if weighed[best] <= 0:
        raise NotAcceptable(
            f"Accept one of {', '.join(offered)}.", headers={"Vary": "Accept"}, members={"offered": [*offered]}
        )
    return best


Range = tuple[str, frozenset[str], float]
"""Type and subtype, parameters, weight."""


def _ranges(accept: str) -> Iterator[Range]:
    for each in accept.split(",", MAX_RANGES)[:MAX_RANGES]:
        name, parameters = _split(each)
        weight = 1.0
        for parameter in [*parameters]:
            if parameter.startswith("q="):
                weight = _number(parameter.removeprefix("q="))
                parameters.remove(parameter)
        yield name, frozenset(parameters), weight


def _split(text: str) -> tuple[str, list[str]]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    return name, ["=".join(part.strip(' "') for part in each.split("=", 1)) for each in parameters if each]


def _number(text: str) -> float:
    """Return a weight; a malformed one neither excludes nor prefers."""
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0


def _weight(media_type: str, ranges: Sequence[Range]) -> float:
    """Return the weight of the most specific range that matches; 0 if none does."""
    name, parameters = _split(media_type)
    subtype_of = f"{name.partition('/')[0]}/*"
    best, found = -1, 0.0
    for range_, asked, weight in ranges:
        kind = {name: _EXACT, subtype_of: _SUBTYPE, "*/*": _ANY}.get(range_)
        if kind is None or not asked <= {*parameters}:
            continue
        if (fitness := kind * _PARAMETERS + len(asked)) > best:
            best, found = fitness, weight
    return found
