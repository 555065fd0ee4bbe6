"""Messages as callers see them."""

from collections.abc import Sequence
from uuid import UUID

from app.examples.assistant.schemas import Message, Role, TokenUsage
from keel.db.database import AnyRow


def to_message(row: AnyRow, siblings: Sequence[UUID]) -> Message:
    """Return a message, given its row and its siblings."""
    used = row.input_tokens is not None
    return Message(
        id=row.id,
        parent_id=row.parent_id,
        role=Role(row.role),
        content=row.content,
        state=row.state,
        finish_reason=row.finish_reason,
        tools=row.tools,
        model=row.model,
        usage=TokenUsage(input_tokens=row.input_tokens, output_tokens=row.output_tokens) if used else None,
        siblings=list(siblings),
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
