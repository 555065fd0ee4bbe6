"""Text from models and tools may contain anything: it is cleaned for databases and JSON."""

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


async def test_unstorable_characters(llm: Llm) -> None:
    """NUL is dropped and lone surrogates are replaced, so that one answer can't break the heartbeat of all."""
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


async def test_background_reply(llm: Llm) -> None:
    """The same holds for a complete reply, such as a title."""
    llm.then(ODD)

    assert (await llm.all.model.complete([])).text == KEPT
