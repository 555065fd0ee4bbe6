"""What a model says and what a tool returns may be anything: databases and JSON get what they can hold."""

import json

from pydantic import BaseModel

from keel.llm.answers.answer import AnswerState
from keel.llm.answers.keeper import Keeper
from keel.llm.toolbox import Tool, ToolContext
from keel.testing.scripted_model import Call, Pause
from keel.tests.llm.conftest import Llm

ODD = "Sh\x00ips \ud83d sail ⛵"
KEPT = "Ships ? sail ⛵"


class Anything(BaseModel):
    """Arguments."""

    text: str


async def _odd(_: Anything, __: ToolContext) -> str:
    return ODD


async def test_what_cannot_be_stored(llm: Llm) -> None:
    """NUL is left out and half a surrogate pair replaced, so that one answer can't spoil the heartbeat of all."""
    llm.add_tool(Tool("find", "Finds.", Anything, _odd))
    pause = Pause()
    # The escapes of JSON are valid, what they stand for is not.
    answer_id = await llm.ask(Call("find", '{"text": "\\ud83d\\u0000"}'))
    llm.then(ODD, pause)
    await pause.reached.wait()
    keeper = Keeper(llm.services, llm.answers.running)
    await keeper.beat()
    await keeper.close()
    pause.over.set()
    events = await llm.events(answer_id)

    assert [json.loads(data)["result"] for name, data in events if name == "tool"] == [None, KEPT]
    assert "".join(json.loads(data)["text"] for name, data in events if name == "token") == KEPT
    outcome = llm.outcomes.stored[answer_id]
    assert (outcome.state, outcome.text) == (AnswerState.COMPLETE, KEPT)


async def test_a_reply_in_the_background(llm: Llm) -> None:
    """So is a reply as a whole, such as a title."""
    llm.then(ODD)

    assert (await llm.all.model.complete([])).text == KEPT
