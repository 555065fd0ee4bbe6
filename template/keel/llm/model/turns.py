"""Types for conversations with a model, without LangChain, whose import takes seconds and which only calls need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

CHARACTERS_PER_TOKEN = 4
"""Characters per token, LangChain's approximation too. Text in non-Latin scripts has more tokens."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by the model."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message to a model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: Sequence[ToolCall] = ()
    """Calls of an assistant's turn."""
    tool_call_id: str | None = None
    """For a tool's result, the call that it answers."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read and written."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total(self) -> int:
        """The sum of both."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply to one call."""

    text: str
    usage: Usage
    finish_reason: str
    """`stop`, `length` or `tool_calls`."""
    tool_calls: Sequence[ToolCall] = field(default=())


def storable(text: str) -> str:
    """Return text that databases and JSON can store: without NUL, and with lone surrogates replaced."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def estimate_tokens(*texts: str) -> int:
    """Estimate how many tokens some texts have."""
    return sum(ceil(len(text) / CHARACTERS_PER_TOKEN) for text in texts)
