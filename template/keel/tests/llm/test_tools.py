"""Tools: run with the caller's permissions, validated, limited, and shown."""

import json

import pytest
from pydantic import BaseModel, ConfigDict

from keel.caller import Caller
from keel.hooks import PackageError
from keel.llm.answers.answer import AnswerState
from keel.llm.settings import LlmSettings
from keel.llm.toolbox import Tool, ToolContext
from keel.testing.scripted_model import Call
from keel.tests.llm.conftest import Llm
from keel.web.errors import NotFound


class Find(BaseModel):
    """What to find."""

    model_config = ConfigDict(extra="forbid")

    name: str


async def whose(arguments: Find, context: ToolContext) -> str:
    """Return the caller and the arguments."""
    return f"{context.caller.subject} finds {arguments.name}"


def tool(name: str = "find_ships", **options: object) -> Tool:
    """Return a tool."""
    given: dict[str, object] = {"description": "Finds ships.", "arguments": Find, "run": whose, **options}
    return Tool(name=name, **given)  # ty: ignore[invalid-argument-type]


async def test_a_tool_is_called_and_shown(llm: Llm) -> None:
    """The model gets the result, and the stream shows call and result in place."""
    llm.add_tool(tool())
    answer_id = await llm.ask("Let me see. ", Call("find_ships", '{"name": "Argo"}'))
    llm.then("It is here.")
    events = await llm.events(answer_id)

    tools = [json.loads(data) for name, data in events if name == "tool"]
    assert [(event["state"], event["result"]) for event in tools] == [("running", None), ("done", "ada finds Argo")]
    assert [event["offset"] for event in tools] == [12, 12]
    assert llm.model.received[1][-1].content == "ada finds Argo"
    outcome = llm.outcomes.stored[answer_id]
    assert outcome.text == "Let me see. It is here."
    assert [event["state"] for event in outcome.tools] == ["done"]
    assert outcome.usage.input_tokens == 20


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("find_ships", '{"name": "Argo", "owner": "eve"}', "The arguments are not valid: owner: Extra inputs"),
        ("find_ships", '{"name": 3}', "The arguments are not valid: name"),
        ("find_ships", "no JSON", "The arguments are not valid: name: Field required"),
        ("delete_all", '{"name": "Argo"}', "There is no such tool."),
        ("admin_tool", '{"name": "Argo"}', "There is no such tool."),
    ],
)
async def test_invalid_call(llm: Llm, name: str, arguments: str, said: str) -> None:
    """Nothing is done, and the model is told why; it never gets another caller's permissions."""
    llm.add_tool(tool())
    llm.add_tool(tool("admin_tool", scope="admin"))
    answer_id = await llm.ask(Call(name, arguments))
    llm.then("I can't.")
    outcome = await llm.outcome(answer_id)

    assert outcome.tools[0]["state"] == "failed"
    assert outcome.tools[0]["result"].startswith(said)
    assert outcome.state is AnswerState.COMPLETE


async def test_tool_is_offered_by_scope(llm: Llm) -> None:
    """The model does not learn about tools that its caller may not use."""
    llm.add_tool(tool())
    llm.add_tool(tool("find_widgets", scope="widgets:read"))
    await llm.outcome(await llm.ask("No."))
    await llm.outcome(await llm.ask("No.", caller=Caller("eve")))

    offered = [[each["function"]["name"] for each in tools] for tools in llm.model.offered]
    assert offered == [["find_ships", "find_widgets"], ["find_ships"]]


@pytest.mark.parametrize(
    ("error", "said"),
    [(NotFound("There is no such ship."), "There is no such ship."), (KeyError("x"), "The tool failed.")],
)
async def test_failing_tool(llm: Llm, error: Exception, said: str) -> None:
    """The model is told what callers would be told, and no more."""

    async def fail(arguments: Find, context: ToolContext) -> str:
        raise error

    llm.add_tool(tool(run=fail))
    answer_id = await llm.ask(Call("find_ships", '{"name": "Argo"}'))
    llm.then("I can't.")

    assert (await llm.outcome(answer_id)).tools[0]["result"] == said


async def test_results_are_truncated(llm: Llm) -> None:
    """A tool's result leaves room for the conversation."""

    async def much(arguments: Find, context: ToolContext) -> str:
        return "x" * 1_000_000

    llm.add_tool(tool(run=much))
    answer_id = await llm.ask(Call("find_ships", '{"name": "Argo"}'))
    llm.then("Much.")
    outcome = await llm.outcome(answer_id)

    assert 0 < len(outcome.tools[0]["result"]) < llm.all.settings.input_tokens
    assert [message.type for message in llm.model.received[1]] == ["system", "human", "ai", "tool"]


class TestRounds:
    """The number of rounds of tool calls is limited."""

    @pytest.fixture
    def llm_settings(self) -> LlmSettings:
        """Return two rounds."""
        return LlmSettings(tool_rounds=2)

    async def test_the_last_call_has_no_tools(self, llm: Llm) -> None:
        """A model that would call tools forever has to answer."""
        llm.add_tool(tool())
        answer_id = await llm.ask(Call("find_ships", '{"name": "Argo"}'))
        llm.then(Call("find_ships", '{"name": "Argo"}'))
        llm.then(Call("find_ships", '{"name": "Argo"}'))
        outcome = await llm.outcome(answer_id)

        assert [bool(offered) for offered in llm.model.offered] == [True, True, False]
        assert outcome.state is AnswerState.COMPLETE
        assert len(outcome.tools) == 2


@pytest.mark.parametrize("name", ["Find", "find ships", "", "find_ships"])
async def test_names_of_tools(llm: Llm, name: str) -> None:
    """An invalid or duplicate name prevents startup."""
    llm.add_tool(tool())
    with pytest.raises(PackageError, match="is taken, or not of the form"):
        llm.add_tool(tool(name))
