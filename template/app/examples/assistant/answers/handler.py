"""Storing answers, and the jobs that follow: a title, a summary."""

from typing import cast
from uuid import UUID

from pydantic_core import to_json

from app.examples.assistant.answers.jobs import SUMMARISE, TITLE
from app.examples.assistant.answers.prompt import branch_rows, to_turns, tokens_of
from app.examples.assistant.branches import Tree
from app.examples.assistant.messages import to_message
from app.examples.assistant.repository import ConversationRepository, MessageRepository
from app.examples.assistant.settings import AssistantSettings
from keel import clock
from keel.db.database import ReadSession, Session
from keel.llm.answers.answer import AnswerState, Outcome
from keel.llm.answers.handlers import StoredAnswer
from keel.services import Services

KIND = "assistant"

LONG = 0.6
"""The share of the model's context above which a branch is summarised, before it gets too long."""


class MessageHandler:
    """Stores answers as messages; an `AnswerHandler`."""

    def __init__(self, services: Services, settings: AssistantSettings) -> None:
        self.settings = settings
        self._services = services

    async def finish(self, session: Session, outcome: Outcome) -> None:
        """Store the outcome of an answer."""
        now = clock.now()
        stored = await MessageRepository(session).change(
            outcome.id,
            content=outcome.text,
            state=outcome.state,
            finish_reason=outcome.finish_reason,
            model=outcome.model,
            tools=list(outcome.tools),
            input_tokens=outcome.usage.input_tokens,
            output_tokens=outcome.usage.output_tokens,
            error=outcome.error,
            finished_at=now,
        )
        if not stored:
            return
        message = await MessageRepository(session).get(id=outcome.id)
        conversations = ConversationRepository(session)
        conversation = await conversations.get_for_update(id=message.conversation_id) if message else None
        if conversation is None:
            return
        await conversations.update(conversation, updated_at=now)
        if outcome.state is not AnswerState.COMPLETE:
            return
        if conversation.title is None:
            await self._services.jobs.enqueue(session, TITLE, {"conversation_id": str(conversation.id)})
        if await self._is_long(session, conversation.id, outcome.id):
            await self._services.jobs.enqueue(session, SUMMARISE, {"message_id": str(outcome.id)})

    async def read(self, session: ReadSession, answer_id: UUID) -> StoredAnswer | None:
        """Return a finished answer, ready to be streamed again; None if there is no such answer."""
        messages = MessageRepository(session)
        row = await messages.get(id=answer_id)
        if row is None or row.state == AnswerState.STREAMING:
            return None
        tree = Tree(await messages.tree(row.conversation_id))
        message = to_message(row, tree.siblings(answer_id)).model_dump_json()
        return StoredAnswer(message, row.content, to_json(row.error).decode() if row.error else None)

    async def _is_long(self, session: Session, conversation_id: UUID, message_id: UUID) -> bool:
        messages = MessageRepository(session)
        branch = Tree(await messages.tree(conversation_id)).branch(message_id)
        turns = to_turns(await branch_rows(messages, branch), self.settings.instructions)
        return tokens_of(turns) > self._services.llm.settings.input_tokens * LONG


def settings_of(services: Services) -> AssistantSettings:
    """Return the settings read at startup: reading them for each question would take longer than storing it."""
    return cast("MessageHandler", services.llm.answers.handlers[KIND]).settings
