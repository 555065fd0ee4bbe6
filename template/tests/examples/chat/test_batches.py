"""Messages that share a frame, what waits for a client, and the order in which a process gives messages to listeners."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from app.examples.chat.frames import SERVER, Messages, encode_message
from app.examples.chat.hub import Hub
from app.examples.chat.outbox import LARGEST, Batch, Outbox, batches
from app.examples.chat.service import Draft, Journal
from app.examples.chat.timeline import AHEAD, Timeline
from keel.services import services_of
from keel.testing.server import Server
from keel.testing.support import PATIENCE, eventually
from tests.examples.chat.api import ONE_BY_ONE, TOGETHER, entered


def message(number: int, body: str = "") -> str:
    """Return a message as it is sent."""
    row = {"id": number, "client_id": "c", "sender": "ada", "body": body, "sent_at": "2026-01-01T00:00:00Z"}
    return encode_message(row)


def messages(first: int, last: int) -> list[str]:
    """Return several."""
    return [message(number) for number in range(first, last + 1)]


def taken(outbox: Outbox) -> list[Any]:
    """Return what a client is sent: lists of numbers for messages that share a frame."""
    found = []
    while (frame := outbox.take()) is not None:
        content = json.loads(frame)
        found.append([each["id"] for each in content["messages"]] if "messages" in content else content.get("id"))
    return found


@pytest.mark.parametrize(("version", "kinds"), [(TOGETHER, ["messages"]), (ONE_BY_ONE, ["message"] * 3)])
async def test_messages_share_a_frame(server: Server, app: FastAPI, room: str, version: str, kinds: list[str]) -> None:
    """What is heard, and what was missed, comes in one frame to those who take it so, and to others one by one."""
    async with entered(server, room, "ada", version) as ada:
        # This application shares the database with the server's: there, all are found at once.
        await Journal(services_of(app).database).store(
            UUID(room), [Draft("eve", str(n), f"body {n}") for n in range(3)]
        )
        heard = [await frame(ada) for _ in kinds]
    async with entered(server, room, "ada", version, after=0) as ada:
        replayed = [await frame(ada) for _ in kinds]

    assert [each["type"] for each in heard] == kinds
    assert replayed == heard
    for each in heard:
        SERVER.validate_python(each)
    bodies = [each["body"] for one in heard for each in one.get("messages", [one])]
    assert bodies == ["body 0", "body 1", "body 2"]


async def frame(talker: Any) -> dict[str, Any]:
    """Return the next frame that holds messages, as it came."""
    async with asyncio.timeout(PATIENCE):
        while "message" not in (found := json.loads(await talker.socket.recv()))["type"]:
            pass
    return found


def test_a_frame_of_messages_can_be_read() -> None:
    """It is one of the frames that tools know."""
    read = SERVER.validate_json(Batch(messages(1, 2)).frame)
    assert isinstance(read, Messages)
    assert [each.id for each in read.messages] == [1, 2]


def test_what_waits_together_is_sent_together() -> None:
    """Messages that follow each other share a frame, however they came; other frames keep their place among them."""
    outbox = Outbox(together=True)
    for batch in (Batch(messages(1, 2)), Batch(messages(3, 3))):
        outbox.add_batch(batch)
    outbox.add("{}")
    outbox.add_batch(Batch(messages(4, 4)))

    assert len(outbox) == 5
    assert taken(outbox) == [[1, 2, 3], None, 4]
    assert (len(outbox), outbox.take()) == (0, None)


def test_one_by_one() -> None:
    """A client that takes no frames of several messages gets none, and as many wait for it."""
    outbox = Outbox(together=False)
    outbox.add_batch(Batch(messages(1, 3)))

    assert len(outbox) == 3
    assert taken(outbox) == [1, 2, 3]


def test_frames_have_a_limit() -> None:
    """No frame is larger than clients take, unless one message is; whatever is divided keeps its order."""
    large = [message(number, "x" * (LARGEST // 3)) for number in range(1, 6)] + [message(6, "x" * LARGEST), message(7)]
    divided = list(batches(large))
    outbox = Outbox(together=True)
    for batch in divided:
        outbox.add_batch(batch)

    assert [len(batch.messages) for batch in divided] == [2, 2, 1, 1, 1]
    assert taken(outbox) == [[1, 2], [3, 4], 5, 6, 7]
    assert list(batches([])) == []


def test_a_frame_is_made_once() -> None:
    """However many get it."""
    batch = Batch(messages(1, 2))
    boxes = [Outbox(together=True) for _ in range(2)]
    for box in boxes:
        box.add_batch(batch)
    assert boxes[0].take() is boxes[1].take()


def test_numbers_put_messages_in_order() -> None:
    """What arrives before its turn waits; what arrives twice, or in part, is given once."""
    timeline = Timeline()
    timeline.start(2, ["1", "2"])

    assert timeline.add(6, ["6"]) == []
    assert timeline.add(4, ["4", "5"]) == []
    assert timeline.is_broken
    assert timeline.add(2, ["2", "3"]) == ["3", "4", "5", "6"]
    assert timeline.add(6, ["6"]) == []
    assert not timeline.is_broken
    assert (timeline.last, timeline.following(3)) == (6, ["4", "5", "6"])
    assert (timeline.following(6), Timeline().following(-1)) == ([], None)


def test_few_announcements_wait() -> None:
    """What is dropped comes from the database."""
    timeline = Timeline()
    for number in range(2, AHEAD + 10):
        timeline.add(number, [str(number)])
    assert timeline.add(1, ["1"]) == [str(number) for number in range(1, AHEAD + 2)]


class Ear:
    """A listener that keeps what it hears."""

    origin = 0

    def __init__(self) -> None:
        self.heard: list[str] = []

    def push(self, batch: Batch) -> None:
        """Keep messages."""
        self.heard += batch.messages

    def tell(self, frame: str) -> None:
        """Keep something else."""


class Reader:
    """A database that knows nothing, and whether it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def following(self, *_: object) -> list[Any]:
        """Find nothing."""
        self.asked.set()
        return []


def overtaken() -> tuple[Hub, Ear, Reader]:
    """Return a hub that has heard the second message, then the first; what listens to it, and what it asks."""
    reader: Any = Reader()
    nothing: Any = None
    hub = Hub(uuid4(), reader=reader, journal=nothing, pubsub=nothing, attendance=nothing)
    hub.listeners.add(ear := Ear())
    hub.hear(2, ["2"])
    hub.hear(1, ["1"])
    return hub, ear, reader


async def test_an_announcement_is_overtaken() -> None:
    """Processes that store in turns announce out of turn: nobody asks the database unless something stays away."""
    hub, ear, reader = overtaken()
    await eventually(lambda: not hub._tasks)
    assert (ear.heard, reader.asked.is_set()) == (["1", "2"], False)

    hub.hear(4, ["4"])
    async with asyncio.timeout(PATIENCE):
        await reader.asked.wait()
    assert ear.heard == ["1", "2"]


async def test_a_gap_just_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is asked for, also if that shows as soon as nothing else is waited for."""
    monkeypatch.setattr("app.examples.chat.hub.GAP_SECONDS", 0)
    hub, _, reader = overtaken()
    waiting = hub._tasks["wait"]
    # It begins, and it ends; what is called when it has ended comes next.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting.done()
    assert hub._tasks

    hub.hear(4, ["4"])
    async with asyncio.timeout(PATIENCE):
        await reader.asked.wait()
