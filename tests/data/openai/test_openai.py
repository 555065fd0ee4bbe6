"""OpenAI's protocols, with LangChain's own client, set as the page says: events whose data is JSON.

After https://platform.openai.com/docs/api-reference/chat-streaming and, for the models that are asked by the newer one,
https://platform.openai.com/docs/api-reference/responses-streaming.
"""

import json
import re
from typing import Any

import pytest
from pydantic import SecretStr

from keel import about
from keel.llm.model.chat import ChatModel
from keel.llm.model.errors import ModelFailed, ModelUnavailable
from keel.llm.model.turns import Reply
from keel.llm.settings import LlmSettings
from keel.tests.llm.wire import Response, Wire
from keel.tests.llm.wire_contract import ASKED, CALLED, FOUND, TOOL, USED, WireContract, pieces

PAGE = (about.ROOT / "keel" / "docs" / "features" / "llm.md").read_text(encoding="utf-8")
PROVIDER, SERVER = (
    dict(line.split("=", 1) for line in fence.splitlines())
    for fence in re.findall(
        r"```text\n(.*?)```", PAGE.partition("### Another provider")[2].partition("\n### ")[0], re.DOTALL
    )
)
"""What it says to write for OpenAI, and for another server."""


def _event(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document)}\n\n"


def _chunk(delta: dict[str, Any], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "tiny", "choices": [choice]})


class TestOpenAI(WireContract):
    """Chat completions."""

    path = "/v1/chat/completions"

    def settings(self, url: str, **more: Any) -> LlmSettings:
        """Return settings for a server."""
        base_url = SERVER["LLM_BASE_URL"].replace("http://localhost:8080", url)
        return LlmSettings(model=SERVER["LLM_MODEL"], base_url=base_url, api_key=SecretStr("key"), **more)

    def part(self, text: str) -> str:
        """Return a part of a reply's text."""
        return _chunk({"role": "assistant", "content": text})

    def end(self, reason: str = "stop") -> str:
        """Return the end of a reply: the reason, the tokens, and that there is no more."""
        counts = {"prompt_tokens": USED.input_tokens, "completion_tokens": USED.output_tokens}
        usage = {"usage": counts | {"total_tokens": USED.total}}
        last = _event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": []} | usage)
        return f"{_chunk({}, reason)}{last}data: [DONE]\n\n"

    def call(self) -> str:
        """Return the call of `find`, whose arguments come in pieces."""
        call = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "find", "arguments": ""}}
        pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"name": ', '"Argo"}')]
        return "".join(_chunk({"tool_calls": [each]}) for each in (call, *pieces))

    def error(self) -> str:
        """Return an error in the middle of a reply."""
        return _event({"error": {"message": "out of memory", "type": "server_error", "code": None}})

    def broken(self) -> str:
        """Return an event whose data is no JSON."""
        return "data: no JSON\n\n"

    async def test_options(self, server: Wire, model: ChatModel) -> None:
        """The request has the bounds of the settings, and asks for the tokens."""
        server.responses.append(Response([self.end()]))
        await pieces(model)

        (body,) = server.bodies
        assert f"openai:{body['model']}" == SERVER["LLM_MODEL"]
        assert body["max_completion_tokens"] == 99
        assert body["stream_options"] == {"include_usage": True}

    async def test_arguments_are_text(self, server: Wire, model: ChatModel) -> None:
        """A call that was made is sent in OpenAI's form, with the id that its result answers."""
        server.responses.append(Response([self.part("Here."), self.end()]))
        await pieces(model, *ASKED, CALLED, FOUND)

        said, found = server.bodies[0]["messages"][2:]
        assert said["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"name": "Argo"}'}
        assert said["tool_calls"][0]["id"] == found["tool_call_id"] == "call-1"

    async def test_two_calls_at_a_time(self, server: Wire, model: ChatModel) -> None:
        """They are told apart by their index, however their pieces are mixed; one that is no JSON is called without arguments."""
        names = [{"index": n, "id": f"call-{n}", "function": {"name": f"find_{n}"}} for n in (0, 1)]
        texts = [(0, '{"a"'), (1, "[no"), (0, ": 1}"), (1, " JSON")]
        arguments = [{"index": n, "function": {"arguments": text}} for n, text in texts]
        calls = [_chunk({"tool_calls": [each]}) for each in (*names, *arguments)]
        server.responses.append(Response([*calls, self.end("tool_calls")]))
        (reply,) = await pieces(model, tools=[TOOL])

        assert isinstance(reply, Reply)
        assert [(each.id, each.name, each.arguments) for each in reply.tool_calls] == [
            ("call-0", "find_0", {"a": 1}),
            ("call-1", "find_1", {}),
        ]

    async def test_a_server_that_does_not_count(self, server: Wire, model: ChatModel) -> None:
        """Tokens that it does not tell are estimated."""
        server.responses.append(Response([self.part("Ships sail."), _chunk({}, "stop"), "data: [DONE]\n\n"]))
        reply = (await pieces(model))[-1]

        assert isinstance(reply, Reply)
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (5, 3)

    async def test_an_error_before_the_reply(self, server: Wire, model: ChatModel) -> None:
        """It is asked again, although the status said that all was well."""
        server.responses += [Response([self.error()]), Response([self.part("Ships"), self.end()])]
        assert (await pieces(model))[0] == "Ships"

    @pytest.mark.parametrize("status", [400, 401, 403])
    async def test_a_call_that_is_refused(self, server: Wire, model: ChatModel, status: int) -> None:
        """Such as for the key: it is not asked again."""
        server.responses.append(Response(['{"error": {"message": "no", "code": "invalid_api_key"}}'], status=status))
        with pytest.raises(ModelFailed):
            await pieces(model)
        assert len(server.bodies) == 1


@pytest.mark.parametrize("said", [PROVIDER, SERVER], ids=["OpenAI", "another server"])
async def test_as_the_page_says(said: dict[str, str]) -> None:
    """With what the page says to write the client can be made, and is OpenAI's."""
    settings = LlmSettings(
        model=said["LLM_MODEL"], base_url=said.get("LLM_BASE_URL", ""), api_key=SecretStr(said["LLM_API_KEY"])
    )
    made = await ChatModel(settings).load()

    assert type(made).__name__ == "ChatOpenAI"


async def test_without_a_key() -> None:
    """The client refuses to be made: callers are told that the model is unavailable, the log says why."""
    with pytest.raises(ModelUnavailable):
        await ChatModel(LlmSettings(model=PROVIDER["LLM_MODEL"])).load()


class TestResponses:
    """Responses: models such as `gpt-5-pro` are asked by this protocol alone; LangChain's client knows which."""

    @pytest.fixture
    def model(self, server: Wire) -> ChatModel:
        """Return such a model."""
        settings = LlmSettings(model="openai:gpt-5-pro", base_url=f"{server.url}/v1", api_key=SecretStr("key"))
        return ChatModel(settings)

    server = WireContract.server

    def reply(self, *events: dict[str, Any], status: str = "completed") -> list[str]:
        """Return a reply of events, and its end."""
        counts = {"input_tokens": 26, "output_tokens": 2, "total_tokens": 28}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        response = {"id": "resp-1", "object": "response", "created_at": 0, "model": "tiny", "output": []}
        response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        end = response | {"status": status, "usage": counts | details}
        why = {"incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None}
        events = ({"type": "response.created", "response": response | {"status": "in_progress"}}, *events)
        events = (*events, {"type": f"response.{status}", "response": end | why})
        return [
            f"event: {each['type']}\n" + _event(each | {"sequence_number": number})
            for number, each in enumerate(events)
        ]

    def text(self, text: str) -> dict[str, Any]:
        """Return a part of a reply's text."""
        place = {"item_id": "msg-1", "output_index": 0, "content_index": 0}
        return {"type": "response.output_text.delta", "delta": text, "logprobs": [], **place}

    async def test_a_reply(self, server: Wire, model: ChatModel) -> None:
        """Text, tokens, reason."""
        server.responses.append(Response(self.reply(self.text("Ships "), self.text("sail."))))
        assert await pieces(model) == ["Ships ", "sail.", Reply("Ships sail.", USED, "stop", [])]
        assert server.paths == ["/v1/responses"]

    async def test_truncated_reply(self, server: Wire, model: ChatModel) -> None:
        """A reply that reached the limit of its tokens says so."""
        server.responses.append(Response(self.reply(self.text("Ships"), status="incomplete")))
        reply = (await pieces(model))[-1]

        assert isinstance(reply, Reply)
        assert reply.finish_reason == "length"

    async def test_tool_call(self, server: Wire, model: ChatModel) -> None:
        """Its arguments come in pieces."""
        item = {"type": "function_call", "id": "fc-1", "call_id": "call-1", "name": "find", "arguments": ""}
        deltas = [
            {"type": "response.function_call_arguments.delta", "item_id": "fc-1", "output_index": 0, "delta": text}
            for text in ('{"name": ', '"Argo"}')
        ]
        added = {"type": "response.output_item.added", "output_index": 0, "item": item}
        server.responses.append(Response(self.reply(added, *deltas)))
        (reply,) = await pieces(model, tools=[TOOL])

        assert isinstance(reply, Reply)
        assert [(each.id, each.name, each.arguments) for each in reply.tool_calls] == [
            ("call-1", "find", {"name": "Argo"})
        ]

    async def test_reply_breaks_off(self, server: Wire, model: ChatModel) -> None:
        """It is never taken for whole."""
        server.responses.append(Response(self.reply(self.text("Ships "))[:-1]))
        with pytest.raises(ModelFailed):
            await pieces(model)
