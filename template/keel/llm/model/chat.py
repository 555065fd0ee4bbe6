"""Calls of the model: loaded on first use, retried until the answer begins, refused while it is down."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import structlog
from anyio import to_thread

from keel.llm.model.breaker import CircuitBreaker
from keel.llm.model.errors import ModelFailed, ModelUnavailable, is_transient
from keel.llm.model.telemetry import CallObservation
from keel.llm.model.turns import Reply, Turn
from keel.llm.settings import LlmSettings

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk

MOST_BACKOFF = 8.0

log = structlog.get_logger()


def _make(settings: LlmSettings) -> "BaseChatModel":
    from keel.llm.model.providers import make_model

    return make_model(settings)


class ReplyCut(Exception):
    """The model's stream ended before its reply was complete."""


class ChatModel:
    """The model that the settings select."""

    def __init__(self, settings: LlmSettings, make: "Callable[[LlmSettings], BaseChatModel]" = _make) -> None:
        """Take the factory of the model, which is called in a thread, since LangChain takes seconds to import."""
        self.settings = settings
        self.breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)
        self._make = make
        self._model: BaseChatModel | None = None
        self._loading = asyncio.Lock()

    @property
    def name(self) -> str:
        """The model's name, which is stored with answers."""
        return self.settings.model

    async def stream(
        self, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = (), *, max_tokens: int | None = None
    ) -> AsyncGenerator[str | Reply]:
        """Yield the text of a reply in pieces, then the reply.

        Args:
            turns: the conversation, instructions first. Older turns are omitted if they exceed the context.
            tools: tools that the model may call, in OpenAI's format.
            max_tokens: limit of tokens in the turns; by default the model's context.

        Raises:
            ModelUnavailable: the breaker is open, or all attempts failed before the answer began.
            ModelFailed: the model refused the call, or failed after the answer had begun.
        """
        self.breaker.enter()
        begun = False
        for attempt in range(1, self.settings.attempts + 1):
            try:
                async with aclosing(self._attempt(turns, tools, max_tokens or self.settings.input_tokens)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
            except Exception as error:
                again = is_transient(error) and not begun
                await log.awarning("model_call_failed", model=self.name, attempt=attempt, error=repr(error)[:500])
                if again and attempt < self.settings.attempts:
                    await asyncio.sleep(self._pause(attempt))
                    continue
                self.breaker.failed()
                if again:
                    raise ModelUnavailable("The model did not answer; try again.", retry_after=5) from error
                raise ModelFailed("The model failed before its answer was complete.") from error
            else:
                self.breaker.succeeded()
                return

    async def complete(self, turns: Sequence[Turn]) -> Reply:
        """Return a complete reply, for background jobs; see `stream`."""
        async with aclosing(self.stream(turns)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Reply):
                    return piece
        raise AssertionError("a stream ends with a reply or an error")

    def _pause(self, attempt: int) -> float:
        most = min(MOST_BACKOFF, self.settings.retry_backoff * 2 ** (attempt - 1))
        return most * random.uniform(0.5, 1)  # noqa: S311 - jitter

    async def _attempt(
        self, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]], max_tokens: int
    ) -> AsyncGenerator[str | Reply]:
        from keel.llm.model.langchain import to_reply, to_text

        model = await self.load()
        provider, _, name = self.name.partition(":")
        observed = CallObservation(provider, name or provider)
        reply, failure = None, None
        try:
            came: list[AIMessageChunk] = []
            async with aclosing(self._chunks(model, turns, tools, max_tokens)) as chunks:
                async for chunk in chunks:
                    observed.chunk()
                    came.append(chunk)
                    if text := to_text(chunk):
                        yield text
            reply = to_reply(came, turns)
            if reply is None:
                raise ReplyCut
            yield reply
        except Exception as error:
            failure = error
            raise
        finally:
            observed.end(reply, failure)

    async def _chunks(
        self, model: "BaseChatModel", turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]], max_tokens: int
    ) -> "AsyncGenerator[AIMessageChunk]":
        from keel.llm.model.langchain import to_messages

        bound: Any = model.bind_tools([dict(tool) for tool in tools]) if tools else model
        stream = cast("AsyncGenerator[AIMessageChunk]", bound.astream(to_messages(turns, max_tokens)))
        async with aclosing(stream) as chunks:
            async with asyncio.timeout(self.settings.first_token_timeout):
                first = await anext(chunks, None)
            if first is None:
                return
            yield first
            async for chunk in chunks:
                yield chunk

    async def load(self) -> "BaseChatModel":
        """Return LangChain's model.

        Raises:
            ModelUnavailable: it can't be created from the settings; the log says why.
        """
        async with self._loading:
            if self._model is None:
                try:
                    self._model = await to_thread.run_sync(self._make, self.settings)
                except Exception as error:  # a provider's client may raise anything
                    await log.aerror("model_not_loaded", model=self.name, error=str(error)[:500])
                    raise ModelUnavailable("The model is not available.", retry_after=60) from error
            return self._model
