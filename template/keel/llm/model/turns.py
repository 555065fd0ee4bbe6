"""What is said to a model and by it, without LangChain: its import takes seconds, and only a call of the model needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

CHARACTERS_PER_TOKEN = 4
"""LangChain's approximation, too. Texts in scripts other than Latin have more tokens."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model calls."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message to a model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: Sequence[ToolCall] = ()
    """Of an assistant."""
    tool_call_id: str | None = None
    """Of a tool's result: the call that it answers."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read and written."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total(self) -> int:
        """Both."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """Add them up."""
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model has replied, in one call."""

    text: str
    usage: Usage
    finish_reason: str
    """`stop`, `length` or `tool_calls`."""
    tool_calls: Sequence[ToolCall] = field(default=())


def storable(text: str) -> str:
    """Return text as databases and JSON can hold it: without NUL, halves of surrogate pairs replaced."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def estimate_tokens(*texts: str) -> int:
    """Return about how many tokens some texts have."""
    return sum(ceil(len(text) / CHARACTERS_PER_TOKEN) for text in texts)
