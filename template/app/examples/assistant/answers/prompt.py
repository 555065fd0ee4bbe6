"""What the model is sent: instructions, a summary of what it can't read whole, the branch, and the question."""

from collections.abc import Sequence
from uuid import UUID

from app.examples.assistant.repository import MessageRepository
from app.examples.assistant.schemas import Role
from keel.db.database import AnyRow
from keel.llm.model.turns import Turn, estimate_tokens

HISTORY = 100
"""Messages of a branch that are read."""

SUMMARY = "\n\nA summary of the conversation so far:\n"


async def branch_rows(messages: MessageRepository, branch: Sequence[UUID]) -> list[AnyRow]:
    """Return the last messages of a branch, from the first that is in no summary on, or with the one that has it."""
    read = branch[-HISTORY:]
    rows = await messages.some(read)
    found = [rows[id_] for id_ in read if id_ in rows]
    summarised = [number for number, row in enumerate(found) if row.summary]
    return found[summarised[-1] :] if summarised else found


def to_turns(rows: Sequence[AnyRow], instructions: str) -> list[Turn]:
    """Return what the model is sent of messages."""
    summary = rows[0].summary if rows else None
    system = Turn("system", f"{instructions}{SUMMARY}{summary}" if summary else instructions)
    said = [
        Turn("user" if row.role == Role.USER else "assistant", row.content)
        for row in (rows[1:] if summary else rows)
        if row.content
    ]
    return [system, *said]


def tokens_of(turns: Sequence[Turn]) -> int:
    """Return about how many tokens turns have."""
    return estimate_tokens(*(turn.content for turn in turns))
