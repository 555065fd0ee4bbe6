"""An answer: its assignment to a model, and its outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from keel.caller import Caller
from keel.llm.model.turns import Turn, Usage


class AnswerState(StrEnum):
    """The state of an answer."""

    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The caller stopped it."""
    FAILED = "failed"
    """The model or a tool failed."""
    INTERRUPTED = "interrupted"
    """Its process stopped or was lost."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A request to a model."""

    id: UUID
    """Chosen by the calling code, such as the id of the message that will store the answer."""
    kind: str
    """The name under which an `AnswerHandler` is registered."""
    caller: Caller
    """The caller who asks; tools are called with its permissions."""
    turns: Sequence[Turn]
    """Instructions, the conversation so far, and the question."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an answer."""

    id: UUID
    owner_id: str
    state: AnswerState
    text: str
    """The whole text if the state is `complete`, else the text so far."""
    model: str
    usage: Usage
    """Tokens read and written as reported by the model; estimated for an incomplete call."""
    finish_reason: str | None = None
    tools: Sequence[dict[str, Any]] = field(default=())
    """The tool calls, each once, in the form of events."""
    error: dict[str, Any] | None = None
    """A problem document, if the answer failed."""


def last_of_each(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last event of each tool call; an unfinished call has failed."""
    last = {event["id"]: event for event in events}
    return [event | {"state": "failed"} if event["state"] == "running" else event for event in last.values()]
