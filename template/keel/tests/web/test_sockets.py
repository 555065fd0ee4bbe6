"""The middleware of every WebSocket."""

import asyncio
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.types import Message

from keel.application import new_app
from keel.testing.server import Server

router = APIRouter()


HANDSHAKE = (
    b"GET /echo?number=%b HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@router.websocket("/echo")
async def echo(websocket: WebSocket, number: int = 0) -> None:
    """Echo messages until the client closes."""
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text() * number)
    await websocket.close(4000)


@router.websocket("/broken")
async def broken(websocket: WebSocket) -> None:
    """Fail, before or after the handshake."""
    if "late" in websocket.query_params:
        await websocket.accept()
    raise RuntimeError("a secret")


@pytest.fixture
def sockets(environment: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application with sockets."""
    monkeypatch.setenv("ALLOWED_HOSTS", "test")
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    monkeypatch.setenv("RATE_LIMIT", "3/minute")
    app = new_app()
    app.include_router(router)
    return app


async def call(app: FastAPI, path: str, *said: str, query: str = "", host: bytes = b"test") -> list[Message]:
    """Open a socket like a server; return what the application sent."""
    received: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    for text in said:
        received.put_nowait({"type": "websocket.receive", "text": text})
    received.put_nowait({"type": "websocket.disconnect", "code": 1001})
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", host)],
        "subprotocols": [],
        "client": ("192.0.2.7", 1),
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    await app(scope, received.get, send)
    return sent


def lines(output: str) -> list[dict[str, Any]]:
    """Return the access log lines."""
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == "websocket"]


async def test_access_line(sockets: FastAPI, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A socket writes one line: the handshake's status, and which side closed it with which code."""
    accepted, *_, closed = await call(sockets, "/echo", "hi", query="number=2")
    await call(sockets, "/echo")

    assert dict(accepted["headers"])[b"x-request-id"]
    assert closed["code"] == 4000
    first, second = lines(capfdbinary.readouterr().out.decode())
    assert (first["status"], first["code"], first["path"]) == (101, 4000, "/echo")
    assert first["duration_ms"] >= 0
    assert first["request_id"]
    assert second["code"] == 1001


def test_servers_write_no_line_of_their_own(sockets: FastAPI, capfd: pytest.CaptureFixture[str]) -> None:
    """A real server logs no second line for the socket; its other log lines remain."""
    with Server(sockets) as server:
        url = urlsplit(server.url)
        for number, answer in ((b"1", b"101"), (b"x", b"422")):
            with socket.create_connection((url.hostname, url.port), timeout=5) as client:
                client.sendall(HANDSHAKE % number)
                assert client.recv(12) == b"HTTP/1.1 " + answer
    written = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]

    assert sorted(line["status"] for line in written if line["event"] == "websocket") == [101, 422]
    others = {line["event"] for line in written if line["event"] != "websocket"}
    assert "Application startup complete." in others
    assert not [event for event in others if "WebSocket" in event or "connection" in event.lower()]


async def test_refused_handshakes_are_problems(sockets: FastAPI) -> None:
    """An unknown host, an invalid request and an unexpected error get the same response as any request."""
    for status, sent in (
        (400, await call(sockets, "/echo", host=b"evil.example")),
        (422, await call(sockets, "/echo", query="number=x")),
        (500, await call(sockets, "/broken")),
    ):
        start, body, *_ = sent
        headers = dict(start["headers"])
        assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
        assert headers[b"content-type"] == b"application/problem+json"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert json.loads(body["body"])["request_id"].encode() == headers[b"x-request-id"]
        assert b"secret" not in body["body"]


async def test_handshakes_are_counted(sockets: FastAPI) -> None:
    """A client that connects too often gets the time to wait."""
    for _ in range(3):
        assert (await call(sockets, "/echo", "hi"))[0]["type"] == "websocket.accept"
    refused = (await call(sockets, "/echo", "hi"))[0]

    assert refused["status"] == 429
    assert int(dict(refused["headers"])[b"retry-after"]) > 0


async def test_errors_after_the_handshake(sockets: FastAPI) -> None:
    """If its handler fails, the socket is closed with the matching code."""
    assert (await call(sockets, "/broken", query="late"))[-1] == {"type": "websocket.close", "code": 1011}
