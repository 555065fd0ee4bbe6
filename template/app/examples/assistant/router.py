"""HTTP for conversations. Questions and answers stream: `app.examples.assistant.events`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from app.examples.assistant.dependencies import READ, WRITE, ConversationsDep, ConversationsReadDep
from app.examples.assistant.schemas import (
    Conversation,
    ConversationCreate,
    ConversationDetail,
    ConversationQuery,
    ConversationUpdate,
)
from app.examples.assistant.service import ConversationNotFound, MessageNotFound, NoAnswerUnderWay
from keel.idempotency.route import IdempotentRoute
from keel.identity import RESPONSES
from keel.web import errors
from keel.web.pagination import LinksDep, Page

SCOPES = {READ: "Read your conversations with the assistant", WRITE: "Ask the assistant, and change your conversations"}

router = APIRouter(
    prefix="/assistant/conversations", tags=["assistant"], responses=RESPONSES, route_class=IdempotentRoute
)

NOT_FOUND = errors.responses(ConversationNotFound)
NO_MESSAGE = errors.responses(ConversationNotFound, MessageNotFound)


@router.get("")
async def list_conversations(
    query: Annotated[ConversationQuery, Query()], conversations: ConversationsReadDep, links: LinksDep
) -> Page[Conversation]:
    """List your conversations, most recently used first. The `Link` header and `next` lead to the following page."""
    return links.add(await conversations.list(query))


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_conversation(
    data: ConversationCreate, conversations: ConversationsDep, request: Request, response: Response
) -> Conversation:
    """Open a conversation."""
    conversation = await conversations.create(data)
    response.headers["Location"] = f"{request.url.path}/{conversation.id}"
    return conversation


@router.get("/{conversation_id}", responses=NO_MESSAGE)
async def read_conversation(
    conversation_id: UUID,
    conversations: ConversationsReadDep,
    before: Annotated[UUID | None, Query(description="`earlier` of the previous response")] = None,
) -> ConversationDetail:
    """Read a conversation: it has the last messages of the branch shown, or those before a given one."""
    return await conversations.detail(conversation_id, before)


@router.patch("/{conversation_id}", responses=NO_MESSAGE)
async def update_conversation(
    conversation_id: UUID, data: ConversationUpdate, conversations: ConversationsDep
) -> Conversation:
    """Rename a conversation, or show the branch of another message."""
    return await conversations.update(conversation_id, data)


@router.delete("/{conversation_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
async def delete_conversation(conversation_id: UUID, conversations: ConversationsDep) -> None:
    """Delete a conversation with its messages; an answer that is under way is stopped."""
    await conversations.delete(conversation_id)


@router.delete(
    "/{conversation_id}/messages/current",
    status_code=status.HTTP_202_ACCEPTED,
    responses=errors.responses(ConversationNotFound, NoAnswerUnderWay),
)
async def stop_answer(
    conversation_id: UUID, conversations: ConversationsDep, request: Request, response: Response
) -> None:
    """Stop the answer that is under way, in whichever process. Its stream, at `Location`, ends with the text so far."""
    answer_id = await conversations.stop(conversation_id)
    response.headers["Location"] = f"{request.url.path.removesuffix('/current')}/{answer_id}/events"
