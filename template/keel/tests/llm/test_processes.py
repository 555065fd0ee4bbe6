"""An answer in one process, followed and stopped from another: with shared messages, and with nothing but the database."""

import asyncio
import copy
import json

import pytest

from keel.db.database import Database
from keel.llm.answers import keeper, replica
from keel.llm.answers.answer import AnswerState
from keel.messaging.pubsub import InProcessPubSub
from keel.testing.scripted_model import Call, Pause
from keel.testing.support import eventually
from keel.tests.llm.conftest import Llm


def other_process(llm: Llm, *, shared: bool) -> Llm:
    """Return answers of another process, with or without shared messages."""
    services = copy.copy(llm.services)
    if not shared:
        services.pubsub = InProcessPubSub()
    other = Llm(services, llm.all.settings, llm.outcomes)
    services.llm = other.all
    return other


@pytest.fixture(params=[True, False], ids=["shared", "database"])
def other(request: pytest.FixtureRequest, llm: Llm, monkeypatch: pytest.MonkeyPatch) -> Llm:
    """Return another process; without shared messages, with frequent heartbeats and reads."""
    if not request.param:
        monkeypatch.setattr(keeper, "HEARTBEAT", 0.02)
        monkeypatch.setattr(replica, "POLL", 0.02)
    return other_process(llm, shared=request.param)


async def test_answer_is_followed_in_another_process(llm: Llm, other: Llm) -> None:
    """A client there gets the same text from its position on, and the same answer."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause, "sail ", "far.")
    await pause.reached.wait()
    whole: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    following = [
        asyncio.create_task(other.events(answer_id, into=whole)),
        asyncio.create_task(other.events(answer_id, "3-0", into=rest)),
    ]
    await eventually(lambda: whole and rest)
    pause.over.set()
    await asyncio.gather(*following)

    for events, text in ((whole, "Ships sail far."), (rest, "ps sail far.")):
        tokens = [json.loads(data) for name, data in events if name == "token"]
        assert "".join(token["text"] for token in tokens) == text
        assert json.loads(events[-1][1])["text"] == "Ships sail far."


async def test_text_streams_to_another_process(llm: Llm, other: Llm) -> None:
    """A stream in another process does not wait for the end."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause, "sail.")
    async with other.answers.log(answer_id) as log:
        await eventually(lambda: log.text == "Ships ")
        assert not log.ended
        pause.over.set()
        await eventually(lambda: log.ended)


async def test_tool_calls_reach_another_process(llm: Llm, other: Llm) -> None:
    """Each tool event arrives once, in its place."""
    pause = Pause()
    answer_id = await llm.ask("Let me see. ", pause, Call("nothing", "{}"))
    llm.then("No.", after := Pause())
    async with other.answers.log(answer_id) as log:
        pause.over.set()
        await eventually(lambda: [event["state"] for event in log.tools] == ["running", "failed"])
        after.over.set()
        await eventually(lambda: log.ended)

    assert [event["offset"] for event in log.tools] == [12, 12]


async def test_answer_is_stopped_from_another_process(llm: Llm, other: Llm, database: Database) -> None:
    """It is stored with its partial text."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause)
    await pause.reached.wait()
    async with database.transaction() as session:
        await other.answers.stop(session, answer_id)
    await other.events(answer_id)

    assert llm.outcomes.stored[answer_id].state is AnswerState.STOPPED


async def test_nothing_is_published_without_followers(llm: Llm) -> None:
    """A stream in the answer's own process needs no messages."""
    published = []
    pubsub = llm.services.pubsub

    class Spy(InProcessPubSub):
        async def publish(self, topic: str, event: str, data: str) -> None:
            published.append(event)
            await pubsub.publish(topic, event, data)

    llm.services.pubsub = Spy()
    try:
        answer_id = await llm.ask("Ships")
        await llm.events(answer_id)
        await llm.answers.drain(60)
    finally:
        llm.services.pubsub = pubsub

    assert published == ["ended"]


async def test_following_a_finished_answer(llm: Llm, other: Llm) -> None:
    """A late client gets the missing text at once, then the whole answer."""
    answer_id = await llm.ask("Ships")
    await llm.outcome(answer_id)
    token, message = await other.events(answer_id, "3-0")

    assert (token[0], json.loads(token[1])["text"]) == ("token", "ps")
    assert message[0] == "message"
