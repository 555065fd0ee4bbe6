"""The prompt: instructions, a summary of what does not fit, the branch, and the question."""

from collections.abc import Sequence
from uuid import UUID

from app.examples.assistant.repository import MessageRepository
from app.examples.assistant.schemas import Role
from keel.db.database import AnyRow
from keel.llm.model.turns import Turn, estimate_tokens

HISTORY = 100
"""How many messages of a branch are read, at most."""

SUMMARY = "\n\nA summary of the conversation so far:\n"


async def branch_rows(messages: MessageRepository, branch: Sequence[UUID]) -> list[AnyRow]:
    """Return the last messages of a branch, starting with the newest one that has a summary, if any."""
    read = branch[-HISTORY:]
    rows = await messages.some(read)
    found = [rows[id_] for id_ in read if id_ in rows]
    summarised = [number for number, row in enumerate(found) if row.summary]
    return found[summarised[-1] :] if summarised else found


def to_turns(rows: Sequence[AnyRow], instructions: str) -> list[Turn]:
    """Return the instructions and messages as turns for the model."""
    summary = rows[0].summary if rows else None
    system = Turn("system", f"{instructions}{SUMMARY}{summary}" if summary else instructions)
    said = [
        Turn("user" if row.role == Role.USER else "assistant", row.content)
        for row in (rows[1:] if summary else rows)
        if row.content
    ]
    return [system, *said]


def tokens_of(turns: Sequence[Turn]) -> int:
    """Estimate how many tokens turns have."""
    return estimate_tokens(*(turn.content for turn in turns))
