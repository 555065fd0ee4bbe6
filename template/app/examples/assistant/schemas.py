"""Request and response models; stream events carry the same messages."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field

from keel.llm.answers.answer import AnswerState
from keel.text import NO_NUL
from keel.web.pagination import PageQuery

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class ConversationCreate(BaseModel):
    """A new conversation."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = Field(default=None, description="If omitted, the model writes a title after its first answer")


class ConversationUpdate(BaseModel):
    """Changes to a conversation; omitted fields stay as they are."""

    model_config = ConfigDict(extra="forbid")

    title: Title | MISSING = MISSING
    current_id: UUID | MISSING = Field(default=MISSING, description="A message whose branch to show")


class Question(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")

    content: Annotated[str, Field(min_length=1, max_length=32_000, pattern=NO_NUL)]
    parent_id: UUID | MISSING | None = Field(
        default=MISSING, description="The answer to follow: if omitted, the last one shown; null for a first question"
    )


class Role(StrEnum):
    """The author of a message."""

    USER = "user"
    ASSISTANT = "assistant"


class ToolUse(BaseModel):
    """A tool that the model has called."""

    id: str
    name: str
    arguments: dict[str, Any]
    state: str = Field(description="`running`, `done` or `failed`")
    result: str | None
    offset: int = Field(description="Characters of the answer before the call")


class TokenUsage(BaseModel):
    """Tokens that the model read and wrote."""

    input_tokens: int
    output_tokens: int


class Message(BaseModel):
    """A question or an answer."""

    id: UUID
    parent_id: UUID | None
    role: Role
    content: str
    state: AnswerState
    finish_reason: str | None = Field(description="`stop`, or `length` if the model had to stop; null unless complete")
    tools: list[ToolUse]
    model: str | None
    usage: TokenUsage | None
    siblings: list[UUID] = Field(description="Messages with the same parent, oldest first, this one included")
    error: dict[str, Any] | None = Field(description="A problem document, if the answer failed")
    created_at: datetime
    finished_at: datetime | None


class Conversation(BaseModel):
    """A conversation."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str | None
    current_id: UUID | None = Field(description="The last message of the branch shown")
    created_at: datetime
    updated_at: datetime


class ConversationDetail(Conversation):
    """A conversation and the branch that is shown."""

    messages: list[Message] = Field(description="The last messages of the branch, oldest first")
    earlier: UUID | None = Field(description="To send as `before` for earlier messages; null if there are none")


class Started(BaseModel):
    """The first event of a stream: the question, and the answer that has begun."""

    question: Message
    answer: Message


class ConversationOrder(StrEnum):
    """Orders of the list; with a minus, latest first."""

    UPDATED = "updated_at"
    UPDATED_LAST = "-updated_at"


class ConversationQuery(PageQuery):
    """The page and order of a list of conversations."""

    sort: ConversationOrder = ConversationOrder.UPDATED_LAST
