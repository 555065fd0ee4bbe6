"""The machine-readable protocol documents, and the demonstration page."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel
from typer.testing import CliRunner

from app.examples.chat import plugin
from app.examples.chat.commands import commands
from app.examples.chat.live import documents
from app.examples.chat.live.frames import SERVER
from app.main import create_app
from keel.testing.server import Server
from keel.testing.support import PATIENCE, running
from keel.websockets.frames import CloseCode, Pong
from tests.examples.chat.api import ROOMS, connected, token_of

PATH = "/api/v1/chat/asyncapi.json"
PAGES = Path(plugin.__file__).with_name("pages")


async def test_asyncapi_document(client: AsyncClient) -> None:
    """It has every frame and close code, and all its references resolve."""
    document = (await client.get(PATH)).json()
    text = json.dumps(document)

    assert document["asyncapi"] == "3.0.0"
    assert set(document["operations"]) == {"fromClient", "fromServer"}
    types = {message["name"] for message in document["components"]["messages"].values()}
    assert types == {"message", "authenticate", "ping", "ready", "messages", "presence", "pong", "error"}
    assert all(str(int(code)) in document["info"]["description"] for code in CloseCode)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', text):
        place: Any = document
        for part in reference.split("/"):
            place = place[part]


def test_commands() -> None:
    """The command line prints both documents without a server."""
    printed = CliRunner().invoke(commands, ["asyncapi"]).stdout
    schema = json.loads(CliRunner().invoke(commands, ["schema"]).stdout)

    assert json.loads(printed) == documents.asyncapi()
    assert schema["client"]["discriminator"]["propertyName"] == "type"
    assert set(schema["server"]["discriminator"]["mapping"]) == {
        "ready",
        "message",
        "messages",
        "presence",
        "pong",
        "error",
    }


def test_frames_round_trip() -> None:
    """A client in Python can use the models."""
    frame: BaseModel = SERVER.validate_json(Pong().model_dump_json())
    assert isinstance(frame, Pong)


async def test_demo_page(anonymous: AsyncClient) -> None:
    """The page is served with its files, loads nothing from elsewhere, and has no inline script."""
    redirect = await anonymous.get("/demo")
    page = await anonymous.get(redirect.headers["Location"])
    files = re.findall(r'(?:src|href)="([^"#]+)"', page.text)

    assert page.status_code == 200
    assert "default-src 'none'; script-src 'self'" in page.headers["Content-Security-Policy"]
    assert files
    for name in files:
        assert (await anonymous.get(f"/demo/{name}")).status_code == 200, name
    assert not re.search(r"<script>|<style|style=| on\w+=|https?://", page.text)


async def test_page_and_document_can_be_switched_off(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `CHAT_DEMO` there is no page, without `API_DOCS` no document."""
    monkeypatch.setenv("CHAT_DEMO", "false")
    monkeypatch.setenv("API_DOCS", "false")
    async with running(create_app()) as client:
        assert (await client.get("/demo/")).status_code == 404
        assert (await client.get(PATH)).status_code == 404
        assert (await client.get(ROOMS)).status_code == 200


@pytest.mark.parametrize("name", sorted(path.name for path in PAGES.iterdir()))
def test_demo_files_name_no_other_server(name: str) -> None:
    """No file of the page names another server."""
    text = PAGES.joinpath(name).read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


async def test_client_of_the_documentation(
    server: Server, client: AsyncClient, room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The documented client sends a message, receives it, and receives those of others."""
    page = (Path(__file__).parents[3] / "keel/docs/features/chat.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program.replace("ws://127.0.0.1:8000", server.url.replace("http", "ws", 1)), names)  # noqa: S102 - our own
    chatting = asyncio.create_task(names["chat"](room, await token_of(server, "eve")))
    async with connected(server, room, after=0) as ada:
        assert await ada.receive(1) == ["Ahoy"]
        await ada.send_messages("Good morning")
        await ada.receive(1)
        async with asyncio.timeout(PATIENCE):
            output = capsys.readouterr().out
            while "Good morning" not in output:
                await asyncio.sleep(0.005)
                output += capsys.readouterr().out
    chatting.cancel()

    assert [line.partition(": ")[2] for line in output.splitlines()] == ["Ahoy", "Good morning"]
