"""The send queue, the close codes, AsyncAPI documents, and the endpoint of the documentation."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from keel import websockets
from keel.application import new_app
from keel.testing.server import Server
from keel.testing.support import PATIENCE
from keel.tests.websockets.conftest import Callers
from keel.tests.websockets.echo import Client, Said, Say, dial
from keel.websockets.asyncapi import Channel, document
from keel.websockets.frames import CloseCode
from keel.websockets.send_queue import SendQueue


async def test_send_queue() -> None:
    """Frames are sent in order; `wait` returns on the next one."""
    queue = SendQueue()
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    queue.put("1")
    queue.put("2")
    async with asyncio.timeout(PATIENCE):
        await waiting

    assert len(queue) == 2
    assert [queue.take(), queue.take(), queue.take()] == ["1", "2", None]
    queue.put("3")
    queue.clear()
    assert (len(queue), queue.take()) == (0, None)


@pytest.mark.parametrize("code", CloseCode)
def test_close_codes(code: CloseCode) -> None:
    """Each has a reason that fits into a close frame (RFC 6455, 5.5)."""
    assert 0 < len(code.reason.encode()) <= 123


def test_asyncapi_document() -> None:
    """It has every frame and close code, and all its references resolve."""
    found = document(
        Channel(name="echo", address="/echo", client=[Say], server=[Said], query={"n": {"type": "integer"}})
    )

    assert found["asyncapi"] == "3.0.0"
    types = {message["name"] for message in found["components"]["messages"].values()}
    assert types == {"say", "said", "authenticate", "ping", "pong", "error"}
    assert all(str(int(code)) in found["info"]["description"] for code in CloseCode)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(found)):
        place: Any = found
        for part in reference.split("/"):
            place = place[part]


async def test_endpoint_of_the_documentation(environment: None, callers: Callers) -> None:
    """The documented endpoint works as described."""
    page = (Path(__file__).parents[2] / "docs/features/websockets.md").read_text(encoding="utf-8")
    program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    names: dict[str, Any] = {"__name__": "echo"}
    exec(program, names)  # noqa: S102 - our own
    callers.scopes = frozenset(names["SCOPES"])
    app = new_app()
    websockets.install(app)
    app.include_router(names["router"], prefix="/api/v1")
    with Server(app) as server:
        async with dial(server) as socket:
            client = Client(socket)
            assert (await client.echoed("Ahoy"))["text"] == "Ahoy"
            await client.send(type="say", text="x" * 201)
            assert (await client.next("error"))["code"] == "invalid-frame"
