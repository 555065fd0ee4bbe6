"""Messages that share a frame, the send queue, and the order in which a process sends messages."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.examples.chat.live.batches import MAX_SIZE, Batch, MessageQueue, split_batches
from app.examples.chat.live.frames import SERVER, Messages, encode_message
from app.examples.chat.live.message_buffer import MAX_EARLY, MessageBuffer
from app.examples.chat.live.room import LiveRoom
from app.examples.chat.message_store import Draft, MessageStore
from keel.services import services_of
from keel.testing.server import Server
from keel.testing.support import PATIENCE, eventually
from tests.examples.chat.api import BATCHED, SINGLE, connected


def message(number: int, body: str = "") -> str:
    """Return a message as it is sent."""
    row = {"id": number, "client_id": "c", "sender": "ada", "body": body, "sent_at": "2026-01-01T00:00:00Z"}
    return encode_message(row)


def messages(first: int, last: int) -> list[str]:
    """Return several."""
    return [message(number) for number in range(first, last + 1)]


def taken(queue: MessageQueue) -> list[Any]:
    """Return what a client is sent: lists of ids for messages that share a frame."""
    found = []
    while (frame := queue.take()) is not None:
        content = json.loads(frame)
        found.append([each["id"] for each in content["messages"]] if "messages" in content else content.get("id"))
    return found


@pytest.mark.parametrize(("version", "kinds"), [(BATCHED, ["messages"]), (SINGLE, ["message"] * 3)])
async def test_messages_share_a_frame(server: Server, app: FastAPI, room: str, version: str, kinds: list[str]) -> None:
    """New and missed messages share a frame, but only for clients of version 2."""
    async with connected(server, room, "ada", version) as ada:
        # This application shares the database with the server's, which finds all of them in one poll.
        await MessageStore(services_of(app).database).append(
            UUID(room), [Draft("eve", str(n), f"body {n}") for n in range(3)]
        )
        received = [await frame(ada) for _ in kinds]
    async with connected(server, room, "ada", version, after=0) as ada:
        replayed = [await frame(ada) for _ in kinds]

    assert [each["type"] for each in received] == kinds
    assert replayed == received
    for each in received:
        SERVER.validate_python(each)
    bodies = [each["body"] for one in received for each in one.get("messages", [one])]
    assert bodies == ["body 0", "body 1", "body 2"]


async def frame(client: Any) -> dict[str, Any]:
    """Return the next frame that holds messages, as it came."""
    async with asyncio.timeout(PATIENCE):
        while "message" not in (found := json.loads(await client.socket.recv()))["type"]:
            pass
    return found


def test_messages_frame_is_decoded() -> None:
    """A frame of several messages is one of the documented frames."""
    read = SERVER.validate_json(Batch(messages(1, 2)).frame)
    assert isinstance(read, Messages)
    assert [each.id for each in read.messages] == [1, 2]


def test_consecutive_messages_share_a_frame() -> None:
    """Consecutive messages share a frame, across batches; other frames keep their position among them."""
    queue = MessageQueue(batched=True)
    for batch in (Batch(messages(1, 2)), Batch(messages(3, 3))):
        queue.put_batch(batch)
    queue.put("{}")
    queue.put_batch(Batch(messages(4, 4)))

    assert len(queue) == 5
    assert taken(queue) == [[1, 2, 3], None, 4]
    assert (len(queue), queue.take()) == (0, None)


def test_single_messages() -> None:
    """A client of version 1 gets one frame per message, and the queue counts each."""
    queue = MessageQueue(batched=False)
    queue.put_batch(Batch(messages(1, 3)))

    assert len(queue) == 3
    assert taken(queue) == [1, 2, 3]


def test_frame_size_is_limited() -> None:
    """No frame exceeds the limit, unless a single message does; the order is kept."""
    large = [message(number, "x" * (MAX_SIZE // 3)) for number in range(1, 6)] + [
        message(6, "x" * MAX_SIZE),
        message(7),
    ]
    batches = list(split_batches(large))
    queue = MessageQueue(batched=True)
    for batch in batches:
        queue.put_batch(batch)

    assert [len(batch.messages) for batch in batches] == [2, 2, 1, 1, 1]
    assert taken(queue) == [[1, 2], [3, 4], 5, 6, 7]
    assert list(split_batches([])) == []


def test_batch_is_encoded_once() -> None:
    """All clients get the same frame."""
    batch = Batch(messages(1, 2))
    queues = [MessageQueue(batched=True) for _ in range(2)]
    for queue in queues:
        queue.put_batch(batch)
    assert queues[0].take() is queues[1].take()


def test_buffer_orders_messages() -> None:
    """Early messages wait; duplicates and partial duplicates are returned once."""
    buffer = MessageBuffer()
    buffer.start(2, ["1", "2"])

    assert buffer.add(6, ["6"]) == []
    assert buffer.add(4, ["4", "5"]) == []
    assert buffer.has_gap
    assert buffer.add(2, ["2", "3"]) == ["3", "4", "5", "6"]
    assert buffer.add(6, ["6"]) == []
    assert not buffer.has_gap
    assert (buffer.last, buffer.following(3)) == (6, ["4", "5", "6"])
    assert (buffer.following(6), MessageBuffer().following(-1)) == ([], None)


def test_early_announcements_are_bounded() -> None:
    """The buffer drops what exceeds the limit; the database has it."""
    buffer = MessageBuffer()
    for number in range(2, MAX_EARLY + 10):
        buffer.add(number, [str(number)])
    assert buffer.add(1, ["1"]) == [str(number) for number in range(1, MAX_EARLY + 2)]


class RecordingListener:
    """A listener that records what it receives."""

    last_seen = 0

    def __init__(self) -> None:
        self.received: list[str] = []

    def push(self, batch: Batch) -> None:
        """Record messages."""
        self.received += batch.messages

    def send(self, frame: str | BaseModel) -> None:
        """Ignore other frames."""


class Reader:
    """A database without messages, and whether it was queried."""

    def __init__(self) -> None:
        self.queried = asyncio.Event()

    async def following(self, *_: object) -> list[Any]:
        """Find nothing."""
        self.queried.set()
        return []


def overtaken_room() -> tuple[LiveRoom, RecordingListener, Reader]:
    """Return a room that received the second message before the first, its listener, and its database."""
    reader: Any = Reader()
    nothing: Any = None
    room = LiveRoom(uuid4(), reader=reader, store=nothing, pubsub=nothing, presence=nothing)
    room.listeners.add(listener := RecordingListener())
    room.receive(2, ["2"])
    room.receive(1, ["1"])
    return room, listener, reader


async def test_overtaken_announcement() -> None:
    """Announcements out of order need no query, unless one stays missing."""
    room, listener, reader = overtaken_room()
    await eventually(lambda: not room._tasks)
    assert (listener.received, reader.queried.is_set()) == (["1", "2"], False)

    room.receive(4, ["4"])
    async with asyncio.timeout(PATIENCE):
        await reader.queried.wait()
    assert listener.received == ["1", "2"]


async def test_gap_right_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second gap is queried, too, even if it appears just as the wait for the first ends."""
    monkeypatch.setattr("app.examples.chat.live.room.GAP_SECONDS", 0)
    room, _, reader = overtaken_room()
    waiting = room._tasks["wait"]
    # The task starts, then ends; its callback comes next.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting.done()
    assert room._tasks

    room.receive(4, ["4"])
    async with asyncio.timeout(PATIENCE):
        await reader.queried.wait()
