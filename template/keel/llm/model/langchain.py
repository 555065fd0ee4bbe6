"""Conversion between our types and LangChain's: messages, chunks, and trimming a conversation to the context."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_messages, trim_messages
from langchain_core.messages.utils import count_tokens_approximately

from keel.llm.model.turns import Reply, ToolCall, Turn, Usage, estimate_tokens, storable

FINISHED = ("finish_reason", "done_reason", "stop_reason", "stopReason", "status")
"""Keys of the reason why a reply ended (for OpenAI's Responses, its status). A reply without a reason was cut."""

_REASONS = {"max_tokens": "length", "MAX_TOKENS": "length", "incomplete": "length"}


def to_messages(turns: Sequence[Turn], max_tokens: int) -> list[BaseMessage]:
    """Return the newest messages that fit; the instructions and the last question are always included."""
    messages = convert_to_messages([_document(turn) for turn in turns])
    kept = trim_messages(
        messages,
        max_tokens=max_tokens,
        token_counter=count_tokens_approximately,
        strategy="last",
        start_on="human",
        include_system=True,
    )
    return kept if any(message.type == "human" for message in kept) else messages[:1] + messages[-1:]


def _document(turn: Turn) -> dict[str, Any]:
    document: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        calls = [(call.id, {"name": call.name, "arguments": json.dumps(call.arguments)}) for call in turn.tool_calls]
        document["tool_calls"] = [{"type": "function", "id": id_, "function": function} for id_, function in calls]
    if turn.tool_call_id:
        document["tool_call_id"] = turn.tool_call_id
    return document


def to_text(message: BaseMessage) -> str:
    """Return the text of a message, or of a part of one."""
    return storable(str(message.text))


def to_reply(chunks: Sequence[AIMessageChunk], turns: Sequence[Turn]) -> Reply | None:
    """Return the reply that chunks add up to; None if it was cut.

    Tokens that a provider does not report are estimated.
    """
    if not chunks:
        return None
    # All at once: adding one after the other copies the text each time.
    whole = chunks[0] + list(chunks[1:])
    reason = next((str(whole.response_metadata[name]) for name in FINISHED if whole.response_metadata.get(name)), None)
    if reason is None:
        return None
    text = to_text(whole)
    usage: Mapping[str, Any] = whole.usage_metadata or {}
    calls = [
        ToolCall(call["id"] or f"call-{n}", storable(call["name"]), _arguments(call["args"]))
        for n, call in enumerate(whole.tool_calls)
    ]
    # A call whose arguments are not JSON is answered with an error, so that the model can correct itself.
    calls += [
        ToolCall(call["id"] or f"invalid-{n}", storable(call["name"] or ""), {})
        for n, call in enumerate(whole.invalid_tool_calls)
    ]
    return Reply(
        text,
        Usage(
            usage.get("input_tokens") or estimate_tokens(*(turn.content for turn in turns)),
            usage.get("output_tokens") or estimate_tokens(text),
        ),
        "tool_calls" if calls else _REASONS.get(reason, "length" if reason == "length" else "stop"),
        calls,
    )


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(storable(json.dumps(arguments, ensure_ascii=False)))
