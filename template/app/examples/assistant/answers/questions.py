"""The rules of questions: one at a time per conversation, within the caller's allowance, each starting an answer."""

from uuid import UUID

from uuid_utils.compat import uuid7

from app.examples.assistant import models
from app.examples.assistant.answers.handler import KIND, settings_of
from app.examples.assistant.answers.prompt import branch_rows, to_turns, tokens_of
from app.examples.assistant.branches import Tree
from app.examples.assistant.messages import to_message
from app.examples.assistant.repository import ConversationRepository, MessageRepository
from app.examples.assistant.schemas import Question, Role, Started
from app.examples.assistant.service import ConversationNotFound, MessageNotFound
from keel import clock
from keel.caller import Caller
from keel.db.database import AnyRow, Session
from keel.llm.answers.answer import AnswerState, Assignment
from keel.llm.answers.registry import Admission
from keel.llm.usage import Allowance
from keel.services import Services
from keel.web.errors import BadRequest, Conflict


class AnswerUnderWay(Conflict):
    """An answer is under way in this conversation: follow it, stop it, or wait."""

    type = "urn:problem:answer-under-way"


class ConversationFull(Conflict):
    """The conversation has reached its limit of messages; open another one."""

    type = "urn:problem:conversation-full"


class QuestionTooLong(BadRequest):
    """The question exceeds the model's context."""

    type = "urn:problem:question-too-long"


class QuestionService:
    """Asks questions in a caller's conversations."""

    def __init__(self, session: Session, caller: Caller, services: Services) -> None:
        self._session = session
        self._caller = caller
        self._llm = services.llm
        self._settings = settings_of(services)
        self._conversations = ConversationRepository(session)
        self._messages = MessageRepository(session)

    async def allowance(self) -> Allowance:
        """Return how many tokens the caller has left today.

        Raises:
            TokensUsedUp: none are left.
        """
        return await self._llm.budget.check(self._session, self._caller.subject)

    async def ask(self, conversation_id: UUID, data: Question, admission: Admission) -> Started:
        """Ask a question; its answer begins on commit.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            MessageNotFound: the message to follow is no answer of it.
            AnswerUnderWay: the conversation has one already.
            ConversationFull: it has too many messages.
            QuestionTooLong: it exceeds the model's context.
        """
        conversation, tree = await self._locked(conversation_id)
        parent_id = data.model_dump(exclude_unset=True).get("parent_id", conversation.current_id)
        if parent_id is not None and parent_id not in tree:
            raise MessageNotFound("The conversation has no such message.")
        question = await self._add(conversation.id, parent_id, Role.USER, data.content)
        tree.add(question)
        return await self._begin(conversation, tree, question.id, admission)

    async def regenerate(self, conversation_id: UUID, message_id: UUID, admission: Admission) -> Started:
        """Answer a question again; its other answers stay.

        Raises:
            ConversationNotFound: the caller has no such conversation.
            MessageNotFound: it has no such question.
            AnswerUnderWay: the conversation has an answer under way.
            ConversationFull: it has too many messages.
        """
        conversation, tree = await self._locked(conversation_id)
        row = await self._messages.get(id=message_id, conversation_id=conversation_id, role=Role.USER.value)
        if row is None:
            raise MessageNotFound("The conversation has no such question.")
        return await self._begin(conversation, tree, message_id, admission)

    async def _locked(self, conversation_id: UUID) -> tuple[models.Conversation, Tree]:
        conversation = await self._conversations.get_for_update(id=conversation_id, owner_id=self._caller.subject)
        if conversation is None:
            raise ConversationNotFound("There is no such conversation.")
        rows = await self._messages.tree(conversation_id)
        if any(row.state == AnswerState.STREAMING for row in rows):
            raise AnswerUnderWay("An answer of this conversation is under way.")
        if len(rows) + 2 > self._settings.max_messages:
            raise ConversationFull("This conversation is full; open another one.")
        return conversation, Tree(rows)

    async def _begin(
        self, conversation: models.Conversation, tree: Tree, question_id: UUID, admission: Admission
    ) -> Started:
        rows = await branch_rows(self._messages, tree.branch(question_id))
        turns = to_turns(rows, self._settings.instructions)
        if tokens_of([turns[0], turns[-1]]) > self._llm.settings.input_tokens // 2:
            raise QuestionTooLong("The question is longer than the model can read.")
        answer = await self._add(conversation.id, question_id, Role.ASSISTANT, "", AnswerState.STREAMING)
        tree.add(answer)
        await self._conversations.update(conversation, current_id=answer.id)
        assignment = Assignment(answer.id, KIND, self._caller, turns)
        await self._llm.answers.assign(self._session, assignment, admission)
        question = rows[-1]
        return Started(
            question=to_message(question, tree.siblings(question.id)),
            answer=to_message(answer, tree.siblings(answer.id)),
        )

    async def _add(
        self,
        conversation_id: UUID,
        parent_id: UUID | None,
        role: Role,
        content: str,
        state: AnswerState = AnswerState.COMPLETE,
    ) -> AnyRow:
        return await self._messages.add(
            id=uuid7(),
            conversation_id=conversation_id,
            parent_id=parent_id,
            role=role.value,
            content=content,
            state=state,
            finish_reason=None,
            model=None,
            tools=[],
            input_tokens=None,
            output_tokens=None,
            error=None,
            summary=None,
            created_at=clock.now(),
            finished_at=None,
        )
