"""The rules of conversations: ownership, and which branch is shown."""

from uuid import UUID

from app.examples.assistant import models
from app.examples.assistant.branches import Tree
from app.examples.assistant.messages import to_message
from app.examples.assistant.repository import ConversationRepository, MessageRepository
from app.examples.assistant.schemas import (
    Conversation,
    ConversationCreate,
    ConversationDetail,
    ConversationQuery,
    ConversationUpdate,
)
from keel.caller import Caller
from keel.db.database import ReadSession, Session
from keel.services import Services
from keel.web.errors import NotFound
from keel.web.pagination import Page

SHOWN = 100
"""Messages of a branch that are returned at a time."""


class ConversationNotFound(NotFound):
    """There is no such conversation, or it belongs to another owner."""

    type = "urn:problem:conversation-not-found"


class MessageNotFound(NotFound):
    """The conversation has no such message, or not of this kind."""

    type = "urn:problem:message-not-found"


class NoAnswerUnderWay(NotFound):
    """No answer is under way in the conversation."""

    type = "urn:problem:no-answer-under-way"


class ConversationService:
    """Reads and changes a caller's conversations; with a `ReadSession` it can only read."""

    def __init__(self, session: Session | ReadSession, caller: Caller, services: Services) -> None:
        self._conversations = ConversationRepository(session)
        self._messages = MessageRepository(session)
        self._owner_id = caller.subject
        self._answers = services.llm.answers

    async def list(self, query: ConversationQuery) -> Page[Conversation]:
        """Return a page of conversations.

        Raises:
            InvalidCursor: the cursor is not from a list in this order.
        """
        return await self._conversations.page(Conversation, query, owner_id=self._owner_id)

    async def create(self, data: ConversationCreate) -> Conversation:
        """Open a conversation."""
        row = await self._conversations.add(owner_id=self._owner_id, title=data.title, current_id=None)
        return Conversation.model_validate(row)

    async def get(self, conversation_id: UUID) -> Conversation:
        """Return a conversation.

        Raises:
            ConversationNotFound: the caller has no such conversation.
        """
        row = await self._conversations.get(id=conversation_id, owner_id=self._owner_id)
        if row is None:
            raise ConversationNotFound("There is no such conversation.")
        return Conversation.model_validate(row)

    async def detail(self, conversation_id: UUID, before: UUID | None = None) -> ConversationDetail:
        """Return a conversation and messages of its current branch: the last ones, or those before one.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            MessageNotFound: `before` is not in the branch.
        """
        conversation = await self.get(conversation_id)
        tree = Tree(await self._messages.tree(conversation_id))
        branch = tree.branch(conversation.current_id)
        if before is not None:
            if before not in branch:
                raise MessageNotFound("The branch has no such message.")
            branch = branch[: branch.index(before)]
        shown = branch[-SHOWN:]
        rows = await self._messages.some(shown)
        return ConversationDetail(
            **conversation.model_dump(),
            messages=[to_message(rows[id_], tree.siblings(id_)) for id_ in shown if id_ in rows],
            earlier=shown[0] if len(branch) > len(shown) else None,
        )

    async def update(self, conversation_id: UUID, data: ConversationUpdate) -> Conversation:
        """Rename a conversation, or show another of its branches.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            MessageNotFound: it has no such message.
        """
        conversation = await self._get_for_update(conversation_id)
        changes = data.model_dump(exclude_unset=True)
        if chosen := changes.get("current_id"):
            tree = Tree(await self._messages.tree(conversation_id))
            if chosen not in tree:
                raise MessageNotFound("The conversation has no such message.")
            changes["current_id"] = tree.newest_below(chosen)
        if changes:
            await self._conversations.update(conversation, **changes)
        return Conversation.model_validate(conversation)

    async def delete(self, conversation_id: UUID) -> None:
        """Delete a conversation; an answer that is under way is stopped.

        Raises:
            ConversationNotFound: the caller has no such conversation.
        """
        await self.get(conversation_id)
        # The answer first, then the conversation: a finishing answer locks in the same order.
        if under_way := await self._messages.streaming(conversation_id):
            await self._answers.stop(self._conversations.writing, under_way)
        await self._conversations.delete(await self._get_for_update(conversation_id))

    async def stop(self, conversation_id: UUID) -> UUID:
        """Stop the answer of a conversation; return its id.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            NoAnswerUnderWay: there is nothing to stop.
        """
        answer_id = await self.under_way(conversation_id)
        await self._answers.stop(self._conversations.writing, answer_id)
        return answer_id

    async def under_way(self, conversation_id: UUID) -> UUID:
        """Return the id of the answer under way in a conversation.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            NoAnswerUnderWay: there is none.
        """
        await self.get(conversation_id)
        answer_id = await self._messages.streaming(conversation_id)
        if answer_id is None:
            raise NoAnswerUnderWay("No answer of this conversation is under way.")
        return answer_id

    async def answer(self, conversation_id: UUID, message_id: UUID) -> UUID:
        """Return the id of an answer in a conversation, under way or not.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            MessageNotFound: it has no such answer.
        """
        await self.get(conversation_id)
        row = await self._messages.get(id=message_id, conversation_id=conversation_id, role="assistant")
        if row is None:
            raise MessageNotFound("The conversation has no such answer.")
        return row.id

    async def _get_for_update(self, conversation_id: UUID) -> models.Conversation:
        row = await self._conversations.get_for_update(id=conversation_id, owner_id=self._owner_id)
        if row is None:
            raise ConversationNotFound("There is no such conversation.")
        return row
