"""Event streams of answers: asking a question, or following an answer."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.examples.assistant.answers.handler import KIND
from app.examples.assistant.answers.questions import (
    AnswerUnderWay,
    ConversationFull,
    QuestionService,
    QuestionTooLong,
)
from app.examples.assistant.dependencies import ConversationsReadDep, WriterDep
from app.examples.assistant.schemas import Question, Started
from app.examples.assistant.service import ConversationNotFound, MessageNotFound, NoAnswerUnderWay
from keel.caller import Caller
from keel.dependencies import ServicesDep
from keel.identity import RESPONSES
from keel.llm.answers.following import follow
from keel.llm.answers.registry import Admission
from keel.llm.model.errors import ModelUnavailable
from keel.llm.usage import TokensUsedUp
from keel.services import Services
from keel.text import SafeStr
from keel.web import errors
from keel.web.concurrency import Counted
from keel.web.event_stream import Ending, EndingDep, Events

router = APIRouter(
    prefix="/assistant/conversations/{conversation_id}/messages", tags=["assistant"], responses=RESPONSES
)

Ask = Callable[[QuestionService, Admission], Awaitable[Started]]

LastEventId = Annotated[SafeStr | None, Header(description="Resume after this event")]

ASKED = errors.responses(
    ConversationNotFound,
    MessageNotFound,
    AnswerUnderWay,
    ConversationFull,
    QuestionTooLong,
    TokensUsedUp,
    ModelUnavailable,
)


class AnswerStream:
    """The event stream of a request."""

    def __init__(self, services: Services, ending: Ending, request: Request, response: Response) -> None:
        self._services = services
        self._ending = ending
        self._request = request
        self._response = response

    async def begin(self, caller: Caller, conversation_id: UUID, ask: Ask) -> Started:
        """Begin an answer in a transaction of its own, which ends before the stream begins."""
        key = self._services.rate_limit.key(self._request.scope)
        with await self._services.llm.answers.admit(key) as admission:
            async with self._services.database.transaction() as session:
                questions = QuestionService(session, caller, self._services)
                allowance = await questions.allowance()
                started = await ask(questions, admission)
        path = self._request.app.url_path_for(
            "follow_answer", conversation_id=str(conversation_id), message_id=str(started.answer.id)
        )
        self._response.headers.update({"Location": str(path), **allowance.headers})
        return started

    async def events(self, answer_id: UUID, last_event_id: str | None) -> AsyncGenerator[ServerSentEvent]:
        """Yield the events of an answer after the last one that the client has."""
        handler = self._services.llm.answers.handlers[KIND]
        async with aclosing(follow(self._services, handler, answer_id, last_event_id, self._ending)) as events:
            async for event in events:
                yield event

    async def begun(self, started: Started) -> AsyncGenerator[ServerSentEvent]:
        """Yield the event `started`, then those of the answer."""
        yield ServerSentEvent(event="started", raw_data=started.model_dump_json())
        async with aclosing(self.events(started.answer.id, None)) as events:
            async for event in events:
                yield event


async def get_stream(
    services: ServicesDep, ending: EndingDep, request: Request, response: Response, _: Counted
) -> AnswerStream:
    """Return the stream of a request, which counts towards its caller's limit."""
    return AnswerStream(services, ending, request, response)


StreamDep = Annotated[AnswerStream, Depends(get_stream)]


async def asked(conversation_id: UUID, data: Question, caller: WriterDep, stream: StreamDep) -> AsyncGenerator[Events]:
    """Ask before the response begins, so that a refusal is an error response and not a stream."""
    started = await stream.begin(caller, conversation_id, lambda it, place: it.ask(conversation_id, data, place))
    async with aclosing(stream.begun(started)) as events:
        yield events


async def regenerated(
    conversation_id: UUID, message_id: UUID, caller: WriterDep, stream: StreamDep
) -> AsyncGenerator[Events]:
    """Answer again before the response begins."""
    started = await stream.begin(
        caller, conversation_id, lambda it, place: it.regenerate(conversation_id, message_id, place)
    )
    async with aclosing(stream.begun(started)) as events:
        yield events


async def followed(
    conversation_id: UUID,
    message_id: UUID,
    conversations: ConversationsReadDep,
    stream: StreamDep,
    last_event_id: LastEventId = None,
) -> AsyncGenerator[Events]:
    """Find an answer before the response begins."""
    answer_id = await conversations.answer(conversation_id, message_id)
    async with aclosing(stream.events(answer_id, last_event_id)) as events:
        yield events


async def followed_current(
    conversation_id: UUID,
    conversations: ConversationsReadDep,
    stream: StreamDep,
    last_event_id: LastEventId = None,
) -> AsyncGenerator[Events]:
    """Find the answer that is under way before the response begins."""
    answer_id = await conversations.under_way(conversation_id)
    async with aclosing(stream.events(answer_id, last_event_id)) as events:
        yield events


@router.post("", response_class=EventSourceResponse, responses=ASKED)
async def ask(events: Annotated[Events, Depends(asked)]) -> AsyncIterable[ServerSentEvent]:
    """Ask, and follow the answer: events `started`, `token`, `tool`, `error`, `message`.

    The answer goes on if you disconnect; follow it again at `Location`. To edit a question, ask with the `parent_id` of
    the old one. `RateLimit` says how many tokens you have left today.
    """
    async for event in events:
        yield event


@router.post("/{message_id}/regenerate", response_class=EventSourceResponse, responses=ASKED)
async def regenerate_answer(events: Annotated[Events, Depends(regenerated)]) -> AsyncIterable[ServerSentEvent]:
    """Answer a question again, keeping its other answers, and follow the new one."""
    async for event in events:
        yield event


@router.get(
    "/current",
    response_class=EventSourceResponse,
    responses=errors.responses(ConversationNotFound, NoAnswerUnderWay),
)
async def follow_current_answer(events: Annotated[Events, Depends(followed_current)]) -> AsyncIterable[ServerSentEvent]:
    """Follow the answer that is under way: from its beginning or after `Last-Event-ID`, on any process."""
    async for event in events:
        yield event


@router.get(
    "/{message_id}/events",
    response_class=EventSourceResponse,
    responses=errors.responses(ConversationNotFound, MessageNotFound),
)
async def follow_answer(events: Annotated[Events, Depends(followed)]) -> AsyncIterable[ServerSentEvent]:
    """Follow an answer: from its beginning, or after `Last-Event-ID`, on any process; it may have ended.

    The last event is `message`, `closed` (your token is no longer valid) or `restart` (this process is about to stop:
    reconnect).
    """
    async for event in events:
        yield event
