"""Callers of a project with every feature: `traffic.py FIRST SECOND RPC PASSWORD SECONDS`; prints what can be looked for.

To be started where the project is: it has the code by which gRPC is called.
"""

import asyncio
import json
import secrets
import sys
import time

import grpc
from httpx2 import AsyncClient
from websockets.asyncio.client import connect

sys.path.insert(0, ".")
from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2, notes_pb2_grpc  # noqa: E402 - found by the path above

NOTES = "/api/v1/notes"


class Trace:
    def __init__(self) -> None:
        self.id = secrets.token_hex(16)
        self.headers = {"traceparent": f"00-{self.id}-{secrets.token_hex(8)}-01"}


async def main(first: str, second: str, rpc: str, password: str, seconds: float) -> None:
    async with AsyncClient(base_url=first, timeout=60) as one, AsyncClient(base_url=second, timeout=60) as two:
        form = {"username": "owner@example.com", "password": password}
        token = (await one.post("/api/v1/auth/token", data=form)).json()["access_token"]
        for client in (one, two):
            client.headers["Authorization"] = f"Bearer {token}"
        begun = asyncio.Event()
        listening = asyncio.create_task(listen(two, begun))
        await begun.wait()
        note, export, said, called, asked = Trace(), Trace(), Trace(), Trace(), Trace()
        answer = await one.post(NOTES, json={"title": "Ahoy"}, headers=note.headers)
        assert answer.status_code == 201, answer.text
        answer = await one.post("/api/v1/tasks/exports", json={"kind": "notes", "format": "csv"}, headers=export.headers)
        assert answer.status_code == 202, answer.text
        task = answer.headers["Location"]
        room = (await one.post("/api/v1/chat/rooms", json={"name": "Pier"})).json()["id"]
        await chat(first, second, room, token, said)
        await call(rpc, token, called)
        await ask(one, asked, "complete")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await calls(one, two)
            await chat(second, first, room, token, Trace())
            await call(rpc, token, Trace())
            await ask(one, Trace(), "complete")
            await ask(two, Trace(), "failed")
            await one.post("/api/v1/tasks/exports", json={"kind": "notes", "format": "jsonl"})
            await asyncio.sleep(0.5)
        async with AsyncClient(base_url=first, timeout=60) as stranger:
            statuses = {(await stranger.get(NOTES)).status_code}
            while 429 not in statuses:
                statuses.add((await stranger.get(NOTES)).status_code)
        # Its process may have taken a while to start.
        while (await one.get(task)).json()["state"] != "succeeded":
            await asyncio.sleep(0.5)
        listening.cancel()
        ids = {"note": note.id, "export": export.id, "said": said.id, "called": called.id, "asked": asked.id}
        print(json.dumps({**ids, "statuses": sorted(statuses)}))


async def calls(one: AsyncClient, two: AsyncClient) -> None:
    body = {"title": "Log", "body": "- fair wind\n" * 300, "tags": ["sea"]}
    note = (await one.post(NOTES, json=body)).json()["id"]
    for client in (one, two):
        for path in (f"{NOTES}/{note}", f"{NOTES}?search=wind", f"{NOTES}/{note}/page", f"{NOTES}/none"):
            await client.get(path)
        for format_ in ("application/json", "text/csv"):
            answer = await client.get(f"{NOTES}/statistics/dataset", headers={"Accept": format_})
            assert answer.status_code == 200, answer.text
        await client.get("/harbour/cached")
        assert (await client.get("/harbour/broken/1")).status_code >= 500
    await one.get("/harbour/overrun")


async def chat(here: str, there: str, room: str, token: str, trace: Trace) -> None:
    def door(address: str, headers: dict[str, str]):
        return connect(
            f"{address.replace('http', 'ws', 1)}/api/v1/chat/rooms/{room}/ws",
            subprotocols=["keel.chat.v1", "bearer", token],
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=60,
        )

    async with door(here, trace.headers) as speaker, door(there, {}) as listener:
        name = secrets.token_hex(8)
        await speaker.send(json.dumps({"type": "message", "client_id": name, "body": "Hello"}))
        async with asyncio.timeout(60):
            while json.loads(await listener.recv()).get("client_id") != name:
                pass


async def call(address: str, token: str, trace: Trace) -> None:
    metadata = (("authorization", f"Bearer {token}"), *trace.headers.items())
    async with grpc.aio.insecure_channel(address) as channel:
        notes = notes_pb2_grpc.NotesServiceStub(channel)
        await notes.CreateNote(
            notes_pb2.CreateNoteRequest(note={"title": "Ahoy"}), metadata=metadata, wait_for_ready=True
        )
        try:
            await notes.GetNote(notes_pb2.GetNoteRequest(id="none"), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def ask(client: AsyncClient, trace: Trace, state: str) -> None:
    """Ask for something for which a tool is called, and read the answer to its end."""
    conversation = (await client.post("/api/v1/assistant/conversations", json={})).headers["Location"]
    question = {"content": "Search my notes for Ahoy"}
    async with client.stream("POST", f"{conversation}/messages", json=question, headers=trace.headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        lines = [line async for line in answer.aiter_lines()]
    message = json.loads(lines[lines.index("event: message") + 1].removeprefix("data: "))
    assert message["state"] == state, message


async def listen(client: AsyncClient, begun: asyncio.Event) -> None:
    async with client.stream("GET", f"{NOTES}/events", timeout=None) as answer:
        begun.set()
        async for _ in answer.aiter_lines():
            pass


first, second, rpc, password, seconds = sys.argv[1:]
asyncio.run(main(first, second, rpc, password, float(seconds)))
