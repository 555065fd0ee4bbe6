"""The stream of an answer, for any number of clients, in any process, from any position."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

from fastapi.sse import ServerSentEvent

from keel.llm.answers.handlers import AnswerHandler
from keel.llm.answers.log import AnswerLog, Position
from keel.services import Services
from keel.web.errors import AppError, Unavailable
from keel.web.event_stream import Ending, closed

PACE = 0.04
"""Seconds between two events with text. Models are faster than readers: text in between is sent as one event."""

CROWD = 50
"""Answers in the process at which the pause doubles; more lengthen it further: an event costs as much as two tokens."""

LONGEST_PACE = 0.2

RESTART = ServerSentEvent(event="restart", data={})


async def follow(
    services: Services, handler: AnswerHandler, answer_id: UUID, last_event_id: str | None, ending: Ending
) -> AsyncGenerator[ServerSentEvent]:
    """Yield the events of an answer after the last one that the client has, and finally the stored answer.

    Args:
        services: those of the application.
        handler: the handler that stores the answer.
        answer_id: the answer's id; it may have ended.
        last_event_id: the id of the last event that the client has seen; None to start from the beginning.
        ending: waits for the end of the stream; see `keel.web.event_stream`.
    """
    position = Position.parse(last_event_id)
    over = asyncio.ensure_future(ending())
    try:
        async with services.llm.answers.log(answer_id) as opened:
            log: AnswerLog = opened
            while True:
                last = log.ended
                sent = position
                for event, reached in log.since(position):
                    yield event
                    position = reached
                if last:
                    break
                if position != sent:
                    await asyncio.wait([over], timeout=pace(len(services.llm.answers.running)))
                elif not over.done():
                    await _change(log, over)
                if over.done():
                    over.result()
                    yield RESTART
                    return
        stored = await handler.read(services.database.read, answer_id)
        if stored is None:
            yield RESTART
            return
        # The end of an answer that another process finished before this one received it.
        rest = AnswerLog()
        rest.add_text(stored.text)
        for event, _ in rest.since(position):
            yield event
        if stored.error:
            yield ServerSentEvent(event="error", raw_data=stored.error)
        yield ServerSentEvent(event="message", raw_data=stored.message)
    except Unavailable:
        yield RESTART
    except AppError as error:
        yield closed(error)
    finally:
        over.cancel()


def pace(answers: int) -> float:
    """Return the seconds between two events with text in a process with this many answers."""
    return min(LONGEST_PACE, PACE * (1 + answers / CROWD))


async def _change(log: AnswerLog, over: "asyncio.Future[None]") -> None:
    """Return at the next change of a log, or when the stream should end."""
    changed = log.changed()
    try:
        await asyncio.wait([changed, over], return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()
