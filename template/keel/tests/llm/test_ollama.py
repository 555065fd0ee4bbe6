"""Ollama's protocol, with LangChain's own client: lines of JSON, tools, errors at any moment, a lost connection.

After https://docs.ollama.com/api/chat.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr

from keel.llm.model.chat import ChatModel
from keel.llm.model.errors import ModelFailed, ModelUnavailable
from keel.llm.model.turns import Reply, ToolCall, Turn, Usage
from keel.llm.settings import LlmSettings
from keel.testing.scripted_model import Pause
from keel.tests.llm.wire import Response, Wire, wire

ASKED = [Turn("system", "Be brief."), Turn("user", "What?")]
END = json.dumps(
    {
        "model": "tiny",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 26,
        "eval_count": 2,
    }
)


def part(content: str, **message: Any) -> str:
    """Return a line of a reply."""
    return (
        json.dumps({"model": "tiny", "message": {"role": "assistant", "content": content, **message}, "done": False})
        + "\n"
    )


@pytest.fixture
async def ollama() -> AsyncIterator[Wire]:
    """Return a server."""
    async with wire() as made:
        yield made


@pytest.fixture
def model(ollama: Wire) -> ChatModel:
    """Return a model that this server has, called with the real client."""
    settings = LlmSettings(
        model="ollama:tiny",
        base_url=ollama.url,
        api_key=SecretStr("key"),
        attempts=2,
        retry_backoff=0,
        max_output_tokens=99,
    )
    return ChatModel(settings)


async def pieces(model: ChatModel, *turns: Turn, tools: list[dict[str, Any]] | None = None) -> list[str | Reply]:
    """Return what the model yields."""
    async with aclosing(model.stream(turns or ASKED, tools or [])) as stream:
        return [piece async for piece in stream]


async def test_a_reply(ollama: Wire, model: ChatModel) -> None:
    """Text comes as it is sent, then the reply with tokens and reason; the request has what the settings say."""
    ollama.responses.append(Response([part("Ships "), part("sail."), END]))
    assert await pieces(model) == ["Ships ", "sail.", Reply("Ships sail.", Usage(26, 2), "stop", [])]

    (body,) = ollama.bodies
    assert ollama.paths == ["/api/chat"]
    assert ollama.headers[0]["authorization"] == "Bearer key"
    assert [(each["role"], each["content"]) for each in body["messages"]] == [
        ("system", "Be brief."),
        ("user", "What?"),
    ]
    assert (body["model"], body["stream"]) == ("tiny", True)
    assert (body["options"]["num_predict"], body["options"]["num_ctx"]) == (99, 4096)


async def test_text_comes_as_it_is_sent(ollama: Wire, model: ChatModel) -> None:
    """The first words do not wait for the last."""
    pause = Pause()
    ollama.responses.append(Response([part("Ships "), pause, part("sail."), END]))
    async with aclosing(model.stream(ASKED)) as stream:
        assert await anext(stream) == "Ships "
        await pause.reached.wait()
        pause.over.set()
        assert await anext(stream) == "sail."


async def test_a_reply_that_had_to_stop(ollama: Wire, model: ChatModel) -> None:
    """A reply that reached the limit of its tokens says so."""
    ollama.responses.append(Response([part("Ships"), END.replace('"stop"', '"length"')]))
    reply = (await pieces(model))[-1]

    assert isinstance(reply, Reply)
    assert reply.finish_reason == "length"


async def test_a_call_of_a_tool(ollama: Wire, model: ChatModel) -> None:
    """Tools are offered, a call comes back, and its result is sent in Ollama's form."""
    tool = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}
    call = {"function": {"name": "find", "arguments": {"name": "Argo"}}}
    ollama.responses.append(Response([part("", tool_calls=[call]), END]))
    (reply,) = await pieces(model, tools=[tool])

    assert isinstance(reply, Reply)
    assert [(each.name, each.arguments) for each in reply.tool_calls] == [("find", {"name": "Argo"})]
    assert ollama.bodies[0]["tools"][0]["function"]["name"] == "find"

    ollama.responses.append(Response([part("Here."), END]))
    said = Turn("assistant", "", tool_calls=[ToolCall("call-1", "find", {"name": "Argo"})])
    await pieces(model, *ASKED, said, Turn("tool", "[]", tool_call_id="call-1"))
    messages = ollama.bodies[1]["messages"]
    assert messages[2]["tool_calls"][0]["function"] == {"name": "find", "arguments": {"name": "Argo"}}
    assert (messages[3]["role"], messages[3]["content"]) == ("tool", "[]")


async def test_a_model_that_is_not_there(ollama: Wire, model: ChatModel) -> None:
    """It is not asked for again: that would change nothing."""
    ollama.responses.append(Response(['{"error": "model \'tiny\' not found"}'], status=404))
    with pytest.raises(ModelFailed):
        await pieces(model)
    assert len(ollama.bodies) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_server_that_is_busy(ollama: Wire, model: ChatModel, status: int) -> None:
    """It is asked again."""
    ollama.responses += [Response(['{"error": "busy"}'], status=status), Response([part("Ships"), END])]
    assert (await pieces(model))[0] == "Ships"


async def test_a_server_that_stays_busy(ollama: Wire, model: ChatModel) -> None:
    """After the last attempt, the model counts as unavailable."""
    ollama.responses += [Response(['{"error": "busy"}'], status=503), Response(['{"error": "busy"}'], status=503)]
    with pytest.raises(ModelUnavailable):
        await pieces(model)


@pytest.mark.parametrize(
    "response",
    [
        Response([part("Ships "), '{"error": "out of memory"}\n']),
        Response([part("Ships ")], cut=True),
        Response([part("Ships ")]),
        Response([part("Ships "), "no JSON\n"]),
    ],
    ids=["error", "connection lost", "ended early", "garbage"],
)
async def test_a_reply_that_breaks_off(ollama: Wire, model: ChatModel, response: Response) -> None:
    """It is never taken for whole, and the call is not repeated, since its text was shown."""
    ollama.responses.append(response)
    seen = []
    with pytest.raises(ModelFailed):
        async with aclosing(model.stream(ASKED)) as stream:
            async for piece in stream:
                seen.append(piece)  # noqa: PERF401 - what came before the error counts

    assert seen == ["Ships "]
    assert len(ollama.bodies) == 1


async def test_nobody_listens(model: ChatModel, ollama: Wire) -> None:
    """Without a server the model counts as unavailable."""
    unused = ChatModel(LlmSettings(model="ollama:tiny", base_url="http://127.0.0.1:9", attempts=1))
    with pytest.raises(ModelUnavailable):
        await pieces(unused)


async def test_a_slow_model(ollama: Wire) -> None:
    """A model that does not begin in time is given up, and its connection is closed."""
    pause = Pause()
    settings = LlmSettings(model="ollama:tiny", base_url=ollama.url, attempts=1, first_token_timeout=0.5)
    ollama.responses.append(Response([pause]))
    with pytest.raises(ModelUnavailable):
        await pieces(ChatModel(settings))


async def test_a_reply_that_is_stopped(ollama: Wire, model: ChatModel) -> None:
    """The server hears of it, so that it computes no more."""
    pause = Pause()
    ollama.responses.append(Response([part("Ships "), pause]))
    async with aclosing(model.stream(ASKED)) as stream:
        await anext(stream)
        await pause.reached.wait()
    async with asyncio.timeout(60):
        await ollama.gone.wait()
