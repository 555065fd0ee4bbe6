"""The task that produces one answer: it calls the model, then the tools that it requests, then the model again."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import orjson
import structlog

from keel.background.asyncio_tasks import stop
from keel.llm import telemetry
from keel.llm.answers.answer import AnswerState, Assignment, Outcome, last_of_each
from keel.llm.answers.log import AnswerLog
from keel.llm.model.chat import ChatModel
from keel.llm.model.errors import AnswerTookTooLong, ModelFailed
from keel.llm.model.turns import CHARACTERS_PER_TOKEN, Reply, ToolCall, Turn, Usage, estimate_tokens, storable
from keel.llm.toolbox import Toolbox
from keel.web.errors import AppError, from_app_error

CALLS = 4
"""The most tools that the model may call in one round."""

RESULTS = 0.25
"""The share of the model's context that is reserved for the results of tools."""

log = structlog.get_logger()


class RunningAnswer:
    """An answer that this process produces."""

    def __init__(self, assignment: Assignment, model: ChatModel, tools: Toolbox, turn: asyncio.Semaphore) -> None:
        """Wait for a `turn` before calling the model."""
        self.assignment = assignment
        self.log = AnswerLog()
        self._model = model
        self._settings = model.settings
        self._tools = tools
        self._turn = turn
        self._usage = Usage()
        self._call: tuple[int, int] | None = None
        """The model call in progress: its estimated input tokens, and the offset of its text."""
        self._calls = 0
        """Tool calls so far."""
        self._finish_reason: str | None = None
        self._ending = AnswerState.INTERRUPTED
        self._work: asyncio.Task[None] | None = None

    @property
    def usage(self) -> Usage:
        """Tokens used so far; estimated for a call in progress."""
        if self._call is None:
            return self._usage
        given, start = self._call
        return self._usage + Usage(given, estimate_tokens(self.log.text[start:]))

    async def produce(self) -> Outcome:
        """Produce the answer; return its outcome."""
        self._work = asyncio.create_task(self._answer())
        try:
            await asyncio.wait([self._work], timeout=self._settings.answer_timeout)
            late = not self._work.done()
        finally:
            await stop(self._work)
        return self._outcome(late=late)

    def stop(self, state: AnswerState) -> None:
        """End the answer with the text so far."""
        self._ending = state
        if self._work is not None:
            self._work.cancel()

    def _outcome(self, *, late: bool) -> Outcome:
        state = AnswerState.COMPLETE
        error: AppError | None = None
        if late:
            state, error = AnswerState.FAILED, AnswerTookTooLong("The answer took too long.")
        elif self._work is None or self._work.cancelled():
            state = self._ending
        elif failure := self._work.exception():
            state = AnswerState.FAILED
            error = failure if isinstance(failure, AppError) else ModelFailed("The answer failed.")
            if error is not failure:
                log.error("answer_failed", exc_info=failure)
        return Outcome(
            id=self.assignment.id,
            owner_id=self.assignment.caller.subject,
            state=state,
            text=self.log.text,
            model=self._model.name,
            usage=self.usage,
            finish_reason=self._finish_reason if state is AnswerState.COMPLETE else None,
            tools=last_of_each(self.log.tools),
            error=orjson.loads(bytes(from_app_error(error).body)) if error else None,
        )

    async def _answer(self) -> None:
        tools = self._tools.of(self.assignment.caller) if self._settings.tool_rounds else []
        readable = self._settings.input_tokens
        free = int(readable * RESULTS) if tools else 0
        turns = list(self.assignment.turns)
        async with telemetry.turn(self._turn):
            reply = await self._reply(turns, tools, readable - free)
            for rest in range(self._settings.tool_rounds - 1, -1, -1):
                calls = reply.tool_calls[:CALLS]
                if not calls:
                    break
                turns.append(Turn("assistant", reply.text, tool_calls=calls))
                most = free * CHARACTERS_PER_TOKEN // self._settings.tool_rounds // len(calls)
                for call in calls:
                    turns.append(Turn("tool", await self._use(call, most), tool_call_id=call.id))  # noqa: PERF401 - one after the other
                # The last round offers no tools, so that the model has to answer.
                reply = await self._reply(turns, tools if rest else [], readable)
            self._finish_reason = "length" if reply.finish_reason == "length" else "stop"

    async def _reply(self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]], max_tokens: int) -> Reply:
        self._call = estimate_tokens(*(turn.content for turn in turns)), len(self.log.text)
        async with aclosing(self._model.stream(turns, tools, max_tokens=max_tokens)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Reply):
                    self._usage += piece.usage
                    self._call = None
                    return piece
                self.log.add_text(piece)
        raise AssertionError("a stream ends with a reply or an error")

    async def _use(self, call: ToolCall, most: int) -> str:
        """Call a tool, and log it; return its result for the model, cut to `most` characters."""
        self._calls += 1
        event: dict[str, Any] = {"id": f"{self._calls}", "name": call.name[:64], "arguments": dict(call.arguments)}
        self.log.add_tool(event | {"state": "running", "result": None})
        result = await self._tools.call(call.name, call.arguments, self.assignment.caller)
        text = storable(result.text[:most])
        self.log.add_tool(event | {"state": "failed" if result.failed else "done", "result": text})
        return text
