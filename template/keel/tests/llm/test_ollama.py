"""Ollama's protocol, with LangChain's own client: lines of JSON. After https://docs.ollama.com/api/chat."""

import json
from typing import Any

from pydantic import SecretStr

from keel.llm.model.chat import ChatModel
from keel.llm.settings import LlmSettings
from keel.tests.llm.wire import Response, Wire
from keel.tests.llm.wire_contract import ASKED, CALLED, FOUND, USED, WireContract, pieces


def _line(message: dict[str, Any], **more: Any) -> str:
    message = {"role": "assistant", "content": "", **message}
    return json.dumps({"model": "tiny", "message": message, "done": False, **more}) + "\n"


class TestOllama(WireContract):
    """`ollama:tiny`."""

    path = "/api/chat"

    def settings(self, url: str, **more: Any) -> LlmSettings:
        """Return settings for a server."""
        return LlmSettings(model="ollama:tiny", base_url=url, api_key=SecretStr("key"), **more)

    def part(self, text: str) -> str:
        """Return a part of a reply's text."""
        return _line({"content": text})

    def end(self, reason: str = "stop") -> str:
        """Return the end of a reply; tool calls are no finish reason here."""
        reason = "stop" if reason == "tool_calls" else reason
        counts = {"prompt_eval_count": USED.input_tokens, "eval_count": USED.output_tokens}
        return _line({}, done=True, done_reason=reason, **counts)

    def call(self) -> str:
        """Return the call of `find`."""
        return _line({"tool_calls": [{"function": {"name": "find", "arguments": {"name": "Argo"}}}]})

    def error(self) -> str:
        """Return an error in the middle of a reply."""
        return '{"error": "out of memory"}\n'

    def broken(self) -> str:
        """Return a line that is not JSON."""
        return "no JSON\n"

    async def test_options(self, server: Wire, model: ChatModel) -> None:
        """The request has the limits of the settings."""
        server.responses.append(Response([self.end()]))
        await pieces(model)

        options = server.bodies[0]["options"]
        assert server.bodies[0]["model"] == "tiny"
        assert (options["num_predict"], options["num_ctx"]) == (99, 4096)

    async def test_arguments_are_objects(self, server: Wire, model: ChatModel) -> None:
        """An earlier tool call is sent in Ollama's format, with arguments as an object."""
        server.responses.append(Response([self.part("Here."), self.end()]))
        await pieces(model, *ASKED, CALLED, FOUND)

        sent = server.bodies[0]["messages"][2]["tool_calls"][0]["function"]
        assert sent == {"name": "find", "arguments": {"name": "Argo"}}
