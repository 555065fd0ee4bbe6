"""Hosts and origins: their forms in settings, and which `Host` headers are accepted."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from keel.web.hosts import HostMiddleware, host, origin

HOSTS = {
    "api.example.com": "api.example.com",
    "HTTPS://API.Example.com:8443/": "api.example.com",
    "example.com.": "example.com",
    "*.example.com": "*.example.com",
    "a_b": "a_b",
    "x": "x",
    "[2001:DB8::1]:80": "[2001:db8::1]",
    "*": "*",
}
NO_HOSTS = [
    *(
        "",
        ".",
        "-a",
        "a-",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "user@a",
        "a:port",
        "::1",
        "*.",
        "a.*",
        "**",
        "*a",
        "[::1",
        "[g]",
    ),
    *("b\u00fccher.example", "https://"),
]

ORIGINS = {
    "https://App.Example.com": "https://app.example.com",
    "https://app.example.com/": "https://app.example.com",
    "https://a:443": "https://a",
    "https://a:80": "https://a:80",
    "http://a:80": "http://a",
    "http://a:443": "http://a:443",
    "http://[::1]:3000": "http://[::1]:3000",
    "capacitor://localhost": "capacitor://localhost",
    "*": "*",
}
NO_ORIGINS = [
    "",
    "a",
    "//a",
    "https://",
    "https://*.a",
    "https://a/b",
    "https://a?b",
    "https://a#b",
    "https://u@a",
    "https://a:b",
]


def test_hosts() -> None:
    """Hosts are normalized; the scheme, port and path of a URL are dropped."""
    assert {value: host(value) for value in HOSTS} == HOSTS


@pytest.mark.parametrize("value", NO_HOSTS)
def test_invalid_hosts(value: str) -> None:
    """They are refused; the message shows the expected form."""
    with pytest.raises(ValueError, match="is no host name: write"):
        host(value)


def test_origins() -> None:
    """The scheme's default port is dropped, as browsers do."""
    assert {value: origin(value) for value in ORIGINS} == ORIGINS


@pytest.mark.parametrize("value", NO_ORIGINS)
def test_invalid_origins(value: str) -> None:
    """Patterns and URLs with a path are refused."""
    with pytest.raises(ValueError, match="is no origin: write"):
        origin(value)


async def send_request(allowed: Sequence[str], *named: str, path: str = "/", kind: str = "http") -> list[Message]:
    """Return the messages of the response: 204 from the application, or the refusal."""
    sent: list[Message] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        assert (scope["path"], await receive()) == (path, {"type": "http.request"})
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": kind, "path": path}
    if kind != "lifespan":
        scope["headers"] = [(b"accept", b"*/*"), *((b"host", name.encode()) for name in named)]
    await HostMiddleware(answer, tuple(allowed), frozenset({"/healthz"}))(scope, receive, send)
    return sent


async def status(allowed: Sequence[str], *named: str, path: str = "/", kind: str = "http") -> int:
    """Return the status of the response."""
    return (await send_request(allowed, *named, path=path, kind=kind))[0]["status"]


ALLOWED = ("Api.example.com", "*.Example.org", "[::1]")


@pytest.mark.parametrize(
    "named", ["api.example.com", "API.EXAMPLE.COM:8000", "a.example.org", "a.b.example.org:1", "[::1]", "[::1]:8000"]
)
async def test_allowed_hosts(named: str) -> None:
    """Case and port are ignored."""
    assert await status(ALLOWED, named) == 204


@pytest.mark.parametrize(
    "named", ["", "example.com", "example.org", "api.example.com.evil", "::1", "[::2]", "evil[::1]", "[::1]evil]"]
)
async def test_other_hosts_are_refused(named: str) -> None:
    """A pattern matches subdomains only."""
    assert await status(ALLOWED, named) == 400
    assert await status(("api.example.com",), "evil.example.com") == 400


async def test_refusal_is_a_problem_document() -> None:
    """The response has a problem type and a detail."""
    _, body = await send_request(ALLOWED, "example.com")

    found = orjson.loads(body["body"])
    assert (found["type"], found["detail"]) == ("urn:problem:unknown-host", "Unknown host.")


async def test_exactly_one_host_header() -> None:
    """A proxy may read a second one differently. Probes use IP addresses; lifespan events have no headers."""
    assert await status(ALLOWED) == 400
    assert await status(ALLOWED, "[::1]", "[::1]") == 400
    assert await status(ALLOWED, "10.0.0.1", path="/healthz") == 204
    assert await status(ALLOWED, kind="lifespan") == 204
    assert await status(ALLOWED, "evil.example", kind="websocket") == 400
