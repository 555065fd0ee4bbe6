"""An answer: what is asked of a model, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from keel.caller import Caller
from keel.llm.model.turns import Turn, Usage


class AnswerState(StrEnum):
    """How far an answer is."""

    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The caller stopped it."""
    FAILED = "failed"
    """The model did."""
    INTERRUPTED = "interrupted"
    """Its process stopped or was lost."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is asked of a model."""

    id: UUID
    """Chosen by the caller of this, such as the id of the message that the answer will be."""
    kind: str
    """The name under which an `AnswerHandler` is registered."""
    caller: Caller
    """Who asks, with whose rights tools are called."""
    turns: Sequence[Turn]
    """Instructions, the conversation so far, and the question."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer ended."""

    id: UUID
    owner_id: str
    state: AnswerState
    text: str
    """All of it if the state is `complete`, else what there is."""
    model: str
    usage: Usage
    """What the model says it has read and written; estimated for a call that was not whole."""
    finish_reason: str | None = None
    tools: Sequence[dict[str, Any]] = field(default=())
    """The calls of tools, each once, in the form of events."""
    error: dict[str, Any] | None = None
    """Why it failed: a problem document."""


def last_of_each(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last event of each call of a tool; a call that did not end has failed."""
    last = {event["id"]: event for event in events}
    return [event | {"state": "failed"} if event["state"] == "running" else event for event in last.values()]
