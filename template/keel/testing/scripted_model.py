"""A chat model that replies with a test's scripts, at times that the test controls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable


@dataclass
class Pause:
    """A point in a reply where the model signals the test and waits for it."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Call:
    """A tool call with JSON arguments."""

    name: str
    arguments: str


CUT = "cut"
"""Ends a reply without a reason, as a lost connection does."""

Item = str | Pause | Call | Exception


class ScriptedModel(BaseChatModel):
    """Replies with one script after the other, and records its input."""

    scripts: list[list[Any]]
    received: list[list[BaseMessage]]
    offered: list[Any]

    @property
    def _llm_type(self) -> str:  # private: what LangChain documents that a model defines
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Offer tools."""
        return self.bind(tools=tools, **kwargs)

    def _generate(  # private: what LangChain documents that a model defines
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError

    async def _astream(  # private: what LangChain documents that a model defines
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - as LangChain calls it
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as LangChain calls it
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.received.append(messages)
        self.offered.append(kwargs.get("tools"))
        words = 0
        script: list[Item] = self.scripts.pop(0)
        for item in script:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Pause):
                item.reached.set()
                await item.over.wait()
            elif isinstance(item, Call):
                call = tool_call_chunk(name=item.name, args=item.arguments, id=f"call-{words}", index=words)
                yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[call]))
                words += 1
            elif item == CUT:
                return
            else:
                words += 1
                yield ChatGenerationChunk(message=AIMessageChunk(content=item))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=UsageMetadata(input_tokens=10, output_tokens=words, total_tokens=10 + words),
                response_metadata={"finish_reason": "stop"},
            )
        )
