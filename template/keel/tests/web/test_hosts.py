"""Hosts and origins: how they are written in settings, and which requests may name."""

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
    """What a URL has besides is left out."""
    assert {value: host(value) for value in HOSTS} == HOSTS


@pytest.mark.parametrize("value", NO_HOSTS)
def test_no_hosts(value: str) -> None:
    """The message says which it is and what to write."""
    with pytest.raises(ValueError, match="is no host name: write"):
        host(value)


def test_origins() -> None:
    """Browsers leave out the port of the scheme."""
    assert {value: origin(value) for value in ORIGINS} == ORIGINS


@pytest.mark.parametrize("value", NO_ORIGINS)
def test_no_origins(value: str) -> None:
    """A pattern is none, and neither is a page."""
    with pytest.raises(ValueError, match="is no origin: write"):
        origin(value)


async def send_request(allowed: Sequence[str], *named: str, path: str = "/", kind: str = "http") -> list[Message]:
    """Return the messages of an answer: that of an application which always answers 204, or the refusal's."""
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
    """Return the status of an answer."""
    return (await send_request(allowed, *named, path=path, kind=kind))[0]["status"]


ALLOWED = ("Api.example.com", "*.Example.org", "[::1]")


@pytest.mark.parametrize(
    "named", ["api.example.com", "API.EXAMPLE.COM:8000", "a.example.org", "a.b.example.org:1", "[::1]", "[::1]:8000"]
)
async def test_hosts_that_are_allowed(named: str) -> None:
    """Neither case nor the port matters."""
    assert await status(ALLOWED, named) == 204


@pytest.mark.parametrize(
    "named", ["", "example.com", "example.org", "api.example.com.evil", "::1", "[::2]", "evil[::1]", "[::1]evil]"]
)
async def test_other_hosts_are_refused(named: str) -> None:
    """A pattern is for subdomains alone."""
    assert await status(ALLOWED, named) == 400
    assert await status(("api.example.com",), "evil.example.com") == 400


async def test_a_refusal() -> None:
    """It is a problem like any other."""
    _, body = await send_request(ALLOWED, "example.com")

    found = orjson.loads(body["body"])
    assert (found["type"], found["detail"]) == ("urn:problem:unknown-host", "Unknown host.")


async def test_a_request_names_one_host() -> None:
    """Two might be understood otherwise by a proxy; probes name addresses, and what is no request none."""
    assert await status(ALLOWED) == 400
    assert await status(ALLOWED, "[::1]", "[::1]") == 400
    assert await status(ALLOWED, "10.0.0.1", path="/healthz") == 204
    assert await status(ALLOWED, kind="lifespan") == 204
    assert await status(ALLOWED, "evil.example", kind="websocket") == 400
