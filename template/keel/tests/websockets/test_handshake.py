"""Handshakes: accepted ones, the token, and refusals."""

import json
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from keel.caller import GUEST, VerifiedCaller
from keel.testing.server import Server
from keel.testing.support import eventually
from keel.tests.websockets.conftest import Callers
from keel.tests.websockets.echo import Client, connected, dial
from keel.websockets.registry import ConnectionRegistry


async def refused(server: Server, caller: str | None = "ada", **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the problem document of a refused handshake."""
    with pytest.raises(InvalidStatus) as answer:
        async with dial(server, caller, **options):
            pass
    response = answer.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, json.loads(response.body)


async def test_token_in_the_handshake(echo_server: Server) -> None:
    """A token may follow `bearer` among the subprotocols."""
    async with connected(echo_server, "ada") as client:
        assert (await client.echoed("hi"))["caller"] == "ada"


async def test_token_in_first_frame(echo_server: Server) -> None:
    """A client without a token in its handshake may send it in its first frame."""
    async with dial(echo_server, None) as socket:
        client = Client(socket)
        await client.send(type="authenticate", token="ada")
        assert (await client.echoed("hi"))["caller"] == "ada"


@pytest.mark.parametrize("frame", [None, '{"type": "ping"}', "nonsense", b"binary"])
async def test_unauthenticated_socket_is_closed(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch, frame: str | bytes | None
) -> None:
    """The first frame must be a token, and arrive in time."""
    if frame is None:
        monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"authenticate_seconds": 0.05}))
    async with dial(echo_server, None) as socket:
        if frame is not None:
            await socket.send(frame)
        assert await Client(socket).closed() == 4401
    await eventually(lambda: not registry._per_caller)


async def test_malformed_first_frame(echo_server: Server, callers: Callers, registry: ConnectionRegistry) -> None:
    """A connection closed while waiting for a token is not refused a second time, which would be an error."""
    async with dial(echo_server, None) as socket:
        await eventually(lambda: registry._per_caller)
        socket.transport.write(b"\x81\x02{}")  # not masked
        assert await Client(socket).closed() == CloseCode.PROTOCOL_ERROR
    await eventually(lambda: not registry._per_caller)

    assert callers.asked[None] == 1


@pytest.mark.parametrize(
    ("scopes", "code"), [(frozenset[str](), 4403), (frozenset({"echo"}), 4404)], ids=["no scope", "not found"]
)
async def test_errors_after_the_first_frame(
    echo_server: Server, callers: Callers, scopes: frozenset[str], code: int
) -> None:
    """If it fails after being accepted, it is closed with the error's code."""
    callers.scopes = scopes
    async with dial(echo_server, None, query="?missing") as socket:
        client = Client(socket)
        await client.send(type="authenticate", token="ada")
        assert await client.closed() == code


async def test_invalid_token_is_refused(echo_server: Server, callers: Callers) -> None:
    """An expired token, one without the scope, and an endpoint's own error refuse the handshake."""
    callers.ends["late"] = time.time() - 1
    assert (await refused(echo_server, "late"))[0] == 401
    assert (await refused(echo_server, query="?missing"))[0] == 404
    callers.scopes = frozenset()
    assert (await refused(echo_server))[0] == 403


async def test_other_origins_are_refused(echo_server: Server) -> None:
    """Pages from other sites may not connect; the server's own may."""
    for origin in ("https://evil.example", "null", "http://["):
        status, problem = await refused(echo_server, origin=origin)
        assert (status, problem["type"]) == (403, "urn:problem:origin-not-allowed")
    async with connected(echo_server, origin=echo_server.url) as client:
        assert (await client.echoed("hi"))["text"] == "hi"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["echo.v1", "bearer", "ada"], "echo.v1"),
        (["echo.v1", "echo.v2", "bearer", "ada"], "echo.v2"),
        (["bearer", "ada"], "bearer"),
    ],
)
async def test_subprotocols(echo_server: Server, offered: list[Any], chosen: str) -> None:
    """The server selects its preferred protocol, or else `bearer` if offered."""
    async with connected(echo_server, subprotocols=offered) as client:
        assert client.socket.subprotocol == chosen


async def test_bearer_without_a_token(echo_server: Server) -> None:
    """A client that offers only `bearer` has to authenticate in its first frame."""
    offered: Any = ["bearer"]
    async with dial(echo_server, subprotocols=offered) as socket:
        client = Client(socket)
        await client.send(type="authenticate", token="ada")
        await client.next("hello")


async def test_too_many_connections(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller has a limited number of connections; other callers are not affected."""
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"max_per_caller": 1}))
    async with connected(echo_server, "ada"):
        assert (await refused(echo_server, "ada"))[0] == 429
        async with connected(echo_server, "eve"):
            pass
    await eventually(lambda: not registry._per_caller)


async def test_guests_count_by_address(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a feature that signs callers in, connections are limited per address."""

    async def guest(*_: object) -> VerifiedCaller:
        return VerifiedCaller(GUEST)

    monkeypatch.setattr("keel.websockets.handshake.verify_caller", guest)
    monkeypatch.setattr("keel.websockets.credentials.verify_caller", guest)
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"max_per_caller": 1}))
    async with connected(echo_server, None) as client:
        assert (await client.echoed("hi"))["caller"] == GUEST.subject
        assert (await refused(echo_server, None))[0] == 429


async def test_handshake_while_draining(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopping process refuses handshakes."""
    monkeypatch.setattr(registry, "draining", True)
    assert (await refused(echo_server))[0] == 503
