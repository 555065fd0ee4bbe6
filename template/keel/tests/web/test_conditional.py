"""Conditional requests: matching entity tags, preconditions and 304."""

import pytest
from fastapi import Request, Response

from keel.web.conditional import Conditional, NotModified, Precondition, etag, get_conditional, matches

MATCHES = {
    (None, False): False,
    ("", False): False,
    ("*", False): True,
    ('"3"', False): True,
    ('"2", "3"', False): True,
    ('"2","3"', False): True,
    ('W/"3"', False): False,
    ('W/"3"', True): True,
    ("3", True): False,
    ('"33"', False): False,
}


def test_entity_tags() -> None:
    """Only `If-None-Match` compares weakly."""
    assert {(header, weak): matches(header, 3, weak=weak) for header, weak in MATCHES} == MATCHES
    assert not matches('W/"3"', 3)
    assert etag(3) == '"3"'


def test_preconditions() -> None:
    """A change requires the version in `If-Match`; without the header, any version will do."""
    assert [Precondition(header).holds(3) for header in (None, "", '"3"', '"2"')] == [True, False, True, False]
    assert Precondition().holds(3)


def test_response_has_entity_tag() -> None:
    """The headers are set on the response, and returned for custom responses."""
    response = Response()

    headers = Conditional(response, None, '"2"').tag(3)

    assert headers == {"ETag": '"3"', "Cache-Control": "private, no-cache"}
    assert {name: response.headers[name] for name in headers} == headers


def test_not_modified() -> None:
    """A version that the client has is not sent again: 304 with the tag, after a weak comparison."""
    with pytest.raises(NotModified) as refused:
        Conditional(Response(), None, 'W/"3"').tag(3)

    assert refused.value.status == 304
    assert refused.value.headers == {"ETag": '"3"', "Cache-Control": "private, no-cache"}


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_conditional_dependency(method: str) -> None:
    """`If-Match` becomes the precondition; only GET evaluates `If-None-Match`."""
    found = await get_conditional(Request({"type": "http", "method": method}), Response(), '"2"', '"3"')

    assert found.precondition == Precondition('"2"')
    if method == "GET":
        with pytest.raises(NotModified):
            found.tag(3)
    else:
        assert found.tag(3)
