"""What holds for every model behind a wire, called with its real client; a test class inherits it and speaks the protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from keel.llm.model.chat import ChatModel
from keel.llm.model.errors import ModelFailed, ModelUnavailable
from keel.llm.model.turns import Reply, ToolCall, Turn, Usage
from keel.llm.settings import LlmSettings
from keel.testing.scripted_model import Pause
from keel.tests.llm.wire import Response, Wire, wire

ASKED = [Turn("system", "Be brief."), Turn("user", "What?")]
TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}
CALLED = Turn("assistant", "", tool_calls=[ToolCall("call-1", "find", {"name": "Argo"})])
FOUND = Turn("tool", "[]", tool_call_id="call-1")

USED = Usage(26, 2)
"""Tokens that the end of a reply tells."""


async def pieces(model: ChatModel, *turns: Turn, tools: list[dict[str, Any]] | None = None) -> list[str | Reply]:
    """Return the chunks that the model yields."""
    async with aclosing(model.stream(turns or ASKED, tools or [])) as stream:
        return [piece async for piece in stream]


class WireContract:
    """Streaming, tools, and everything that can go wrong."""

    path: str
    """Where the model is asked."""

    def settings(self, url: str, **more: Any) -> LlmSettings:
        """Return settings for a server."""
        raise NotImplementedError

    def part(self, text: str) -> str:
        """Return a part of a reply's text."""
        raise NotImplementedError

    def end(self, reason: str = "stop") -> str:
        """Return the end of a reply, with `USED`."""
        raise NotImplementedError

    def call(self) -> str:
        """Return the call of `find` with the name Argo."""
        raise NotImplementedError

    def error(self) -> str:
        """Return an error in the middle of a reply."""
        raise NotImplementedError

    def broken(self) -> str:
        """Return a line that violates the protocol."""
        raise NotImplementedError

    @pytest.fixture
    async def server(self) -> AsyncIterator[Wire]:
        """Return a server."""
        async with wire() as made:
            yield made

    @pytest.fixture
    def model(self, server: Wire) -> ChatModel:
        """Return a model on this server, called with the real client."""
        return ChatModel(self.settings(server.url, attempts=2, retry_backoff=0, max_output_tokens=99))

    async def test_a_reply(self, server: Wire, model: ChatModel) -> None:
        """Text arrives in parts, then the reply with tokens and reason; the request has the conversation."""
        server.responses.append(Response([self.part("Ships "), self.part("sail."), self.end()]))
        assert await pieces(model) == ["Ships ", "sail.", Reply("Ships sail.", USED, "stop", [])]

        (body,) = server.bodies
        assert server.paths == [self.path]
        assert server.headers[0]["authorization"] == "Bearer key"
        said = [(each["role"], each["content"]) for each in body["messages"]]
        assert said == [("system", "Be brief."), ("user", "What?")]
        assert body["stream"] is True

    async def test_text_streams(self, server: Wire, model: ChatModel) -> None:
        """The first words do not wait for the last."""
        pause = Pause()
        server.responses.append(Response([self.part("Ships "), pause, self.part("sail."), self.end()]))
        async with aclosing(model.stream(ASKED)) as stream:
            assert await anext(stream) == "Ships "
            await pause.reached.wait()
            pause.over.set()
            assert await anext(stream) == "sail."

    async def test_truncated_reply(self, server: Wire, model: ChatModel) -> None:
        """A reply that reached its token limit says so."""
        server.responses.append(Response([self.part("Ships"), self.end("length")]))
        reply = (await pieces(model))[-1]

        assert isinstance(reply, Reply)
        assert reply.finish_reason == "length"

    async def test_tool_call(self, server: Wire, model: ChatModel) -> None:
        """Tools are offered, a call comes back, and its result is sent."""
        server.responses.append(Response([self.call(), self.end("tool_calls")]))
        (reply,) = await pieces(model, tools=[TOOL])

        assert isinstance(reply, Reply)
        assert reply.finish_reason == "tool_calls"
        assert [(each.name, each.arguments) for each in reply.tool_calls] == [("find", {"name": "Argo"})]
        assert server.bodies[0]["tools"][0]["function"]["name"] == "find"

        server.responses.append(Response([self.part("Here."), self.end()]))
        await pieces(model, *ASKED, CALLED, FOUND)
        messages = server.bodies[1]["messages"]
        assert messages[2]["tool_calls"][0]["function"]["name"] == "find"
        assert (messages[3]["role"], messages[3]["content"]) == ("tool", "[]")

    async def test_unknown_model(self, server: Wire, model: ChatModel) -> None:
        """The call is not retried, because that would be useless."""
        server.responses.append(Response(['{"error": "model \'tiny\' not found"}'], status=404))
        with pytest.raises(ModelFailed):
            await pieces(model)
        assert len(server.bodies) == 1

    @pytest.mark.parametrize("status", [500, 503, 429])
    async def test_busy_server(self, server: Wire, model: ChatModel, status: int) -> None:
        """The call is retried."""
        busy = Response(['{"error": "busy"}'], status=status)
        server.responses += [busy, Response([self.part("Ships"), self.end()])]
        assert (await pieces(model))[0] == "Ships"
        assert len(server.bodies) == 2

    async def test_server_stays_busy(self, server: Wire, model: ChatModel) -> None:
        """After the last attempt, the model is unavailable; the client itself does not retry."""
        server.responses += [Response(['{"error": "busy"}'], status=503) for _ in range(3)]
        with pytest.raises(ModelUnavailable):
            await pieces(model)
        assert len(server.bodies) == 2

    @pytest.mark.parametrize("how", ["error", "connection lost", "ended early", "garbage"])
    async def test_reply_breaks_off(self, server: Wire, model: ChatModel, how: str) -> None:
        """It never counts as complete, and the call is not retried, because its text was shown."""
        rest = {"error": [self.error()], "garbage": [self.broken()]}.get(how, [])
        server.responses.append(Response([self.part("Ships "), *rest], cut=how == "connection lost"))
        seen = []
        with pytest.raises(ModelFailed):
            async with aclosing(model.stream(ASKED)) as stream:
                async for piece in stream:
                    seen.append(piece)  # noqa: PERF401 - what came before the error counts

        assert seen == ["Ships "]
        assert len(server.bodies) == 1

    async def test_no_server(self) -> None:
        """Without a server the model is unavailable."""
        with pytest.raises(ModelUnavailable):
            await pieces(ChatModel(self.settings("http://127.0.0.1:9", attempts=1)))

    async def test_a_slow_model(self, server: Wire) -> None:
        """If the model does not begin in time, the call is cancelled and its connection closed."""
        server.responses.append(Response([Pause()]))
        with pytest.raises(ModelUnavailable):
            await pieces(ChatModel(self.settings(server.url, attempts=1, first_token_timeout=0.5)))
        async with asyncio.timeout(60):
            await server.gone.wait()

    async def test_stopped_reply(self, server: Wire, model: ChatModel) -> None:
        """The connection is closed, so that the server stops computing."""
        pause = Pause()
        server.responses.append(Response([self.part("Ships "), pause]))
        async with aclosing(model.stream(ASKED)) as stream:
            await anext(stream)
            await pause.reached.wait()
        async with asyncio.timeout(60):
            await server.gone.wait()
