"""The embedded model: deterministic, without a service, and streaming like others. It understands three requests.

- `Search my notes for harbour` calls the tool `search_notes`, and likewise any tool whose name's words are in the
  message before `for`; then it quotes the result.
- `Count to 7` counts.
- An instruction that ends with `in at most 6 words.` makes it repeat that many words of the message.

It repeats everything else.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

_WORDS = re.compile(r"\S+\s*")
_COUNT = re.compile(r"\bcount to (\d{1,5})\b", re.IGNORECASE)
_SHORT = re.compile(r"in at most (\d{1,3}) words\.$")


class EmbeddedModel(BaseChatModel):
    """A chat model that needs no real one."""

    seconds_per_word: float = 0.0

    @property
    def _llm_type(self) -> str:  # private: what LangChain documents that a model defines
        return "embedded"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Offer tools, in OpenAI's format."""
        return self.bind(tools=tools, **kwargs)

    def _generate(  # private: what LangChain documents that a model defines
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - as LangChain calls it
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as LangChain calls it
        **kwargs: Any,
    ) -> ChatResult:
        whole = AIMessageChunk(content="")
        for chunk in _chunks(messages, kwargs.get("tools") or ()):
            whole += chunk
        message = AIMessage(whole.content, tool_calls=whole.tool_calls, usage_metadata=whole.usage_metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(  # private: what LangChain documents that a model defines
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - as LangChain calls it
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as LangChain calls it
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(messages, kwargs.get("tools") or ()):
            await asyncio.sleep(self.seconds_per_word)
            yield ChatGenerationChunk(message=chunk)


def _chunks(messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]) -> Sequence[AIMessageChunk]:
    """Return the chunks of a reply: its words or a tool call, then the token usage."""
    asked = next((str(m.content) for m in reversed(messages) if isinstance(m, HumanMessage)), "")
    call = None if isinstance(messages[-1], ToolMessage) else _call(asked, tools)
    words = [] if call else _WORDS.findall(_text(messages, asked))
    chunks = [AIMessageChunk(content=word) for word in words]
    if call:
        chunks.append(AIMessageChunk(content="", tool_call_chunks=[call]))
    read, written = sum(len(_WORDS.findall(str(m.content))) for m in messages), len(words) or 1
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    reason = {"finish_reason": "tool_calls" if call else "stop"}
    return [*chunks, AIMessageChunk(content="", usage_metadata=usage, response_metadata=reason)]


def _text(messages: Sequence[BaseMessage], asked: str) -> str:
    if isinstance(messages[-1], ToolMessage):
        return f"This is what I found:\n\n{messages[-1].content}"
    system = next((str(m.content) for m in messages if isinstance(m, SystemMessage)), "")
    if short := _SHORT.search(system):
        return " ".join(asked.split()[: int(short[1])])
    if count := _COUNT.search(asked):
        return " ".join(map(str, range(1, int(count[1]) + 1)))
    return f"You said: {asked}" if asked.strip() else "You said nothing."


def _call(asked: str, tools: Sequence[dict[str, Any]]) -> Any:
    """Return the tool call that a message requests, with the text after `for` as its first argument."""
    request, _, subject = asked.rpartition(" for ")
    for tool in tools:
        function = tool["function"]
        if set(function["name"].split("_")) <= set(re.findall(r"[a-z]+", request.lower())):
            argument = next(iter(function["parameters"]["properties"]))
            arguments = json.dumps({argument: subject.strip(" .?!")})
            return tool_call_chunk(name=function["name"], args=arguments, id="call-1", index=0)
    return None
