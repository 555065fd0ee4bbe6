"""Background jobs that call the model: titles of conversations, and summaries of long ones."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.examples.assistant.answers.prompt import branch_rows, to_turns
from app.examples.assistant.branches import Tree
from app.examples.assistant.repository import ConversationRepository, MessageRepository
from app.examples.assistant.schemas import Role
from keel.db.database import Session
from keel.llm.model.turns import Reply, Turn
from keel.services import Services

TITLE = "assistant.title"
SUMMARISE = "assistant.summarise"

MAX_TITLE = 100

_TITLE = Turn(
    "system",
    "Give this conversation a title: only words, without quotes, in the language of the question, in at most 6 words.",
)
_SUMMARY = Turn("system", "Summarise this conversation for someone who has to continue it, in at most 200 words.")


class AssistantJobs:
    """Job handlers. They call the model after reading and before writing, so nothing is locked while it runs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def title(self, session: Session, payload: Mapping[str, Any]) -> None:
        """Give a conversation a title, unless it has one by now."""
        conversation_id = UUID(payload["conversation_id"])
        read = self._services.database.read
        conversation = await ConversationRepository(read).get(id=conversation_id)
        if conversation is None or conversation.title is not None:
            return
        messages = MessageRepository(read)
        tree = Tree(await messages.tree(conversation_id))
        rows = await messages.some(tree.branch(conversation.current_id)[:1])
        asked = next((row.content for row in rows.values() if row.role == Role.USER), "")
        reply = await self._services.llm.model.complete([_TITLE, Turn("user", asked[:2000])])
        title = " ".join(reply.text.split()).strip("\"'")[:MAX_TITLE]
        await self._spend(session, conversation.owner_id, "title", reply)
        locked = await ConversationRepository(session).get_for_update(id=conversation_id)
        if locked is not None and locked.title is None and title:
            await ConversationRepository(session).update(locked, title=title)

    async def summarise(self, session: Session, payload: Mapping[str, Any]) -> None:
        """Summarise a branch up to a message, for questions to come."""
        message_id = UUID(payload["message_id"])
        messages = MessageRepository(self._services.database.read)
        message = await messages.get(id=message_id)
        if message is None or message.summary:
            return
        branch = Tree(await messages.tree(message.conversation_id)).branch(message_id)
        conversation = await ConversationRepository(self._services.database.read).get(id=message.conversation_id)
        rows = await branch_rows(messages, branch)
        text = "\n\n".join(f"{turn.role}: {turn.content}" for turn in to_turns(rows, ""))
        reply = await self._services.llm.model.complete([_SUMMARY, Turn("user", text)])
        if conversation is None:
            return
        await self._spend(session, conversation.owner_id, "summary", reply)
        await MessageRepository(session).change(message_id, summary=reply.text)

    async def _spend(self, session: Session, owner_id: str, purpose: str, reply: Reply) -> None:
        await self._services.llm.budget.spend(session, owner_id, reply.usage, purpose)
