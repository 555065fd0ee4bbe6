"""The log of an answer that another process produces, from its messages and its row in the database."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from sqlalchemy import select

from keel.background.asyncio_tasks import spawn, stop
from keel.llm.answers import control
from keel.llm.answers.log import AnswerLog, Position
from keel.llm.models import LlmAnswer
from keel.messaging.pubsub import HistoryLost, SubscriberTooSlow
from keel.services import Services
from keel.web.errors import Unavailable

POLL = 1.0
"""Seconds between two reads of the row, the only source if processes share no pub/sub."""

RENEW = 5
"""Reads after which this announces again to the other process that it follows."""

_ROW = select(LlmAnswer.text, LlmAnswer.tools)


@asynccontextmanager
async def replica(services: Services, answer_id: UUID) -> AsyncGenerator[AnswerLog]:
    """Follow an answer while the block runs; its log ends when the row is gone."""
    log = AnswerLog()
    if await services.database.read.first(_ROW.where(LlmAnswer.id == answer_id)) is None:
        log.close()
        yield log
        return
    left = asyncio.Event()
    listening, polling = spawn(_listen(services, answer_id, log)), spawn(_poll(services, answer_id, log, left))
    try:
        yield log
    finally:
        left.set()
        await stop(listening)
        # Not cancelled, even if the client disconnects: a cancelled read costs its connection.
        await asyncio.shield(polling)


async def _listen(services: Services, answer_id: UUID, log: AnswerLog) -> None:
    while True:
        try:
            async with services.pubsub.subscribe(control.topic(answer_id)) as messages:
                await control.tell(services.pubsub, control.FOLLOW, answer_id)
                async for message in messages:
                    if message.event == control.ENDED:
                        log.close()
                        return
                    control.merge(log, message)
        except (HistoryLost, SubscriberTooSlow):
            # Announcing again that we follow makes the other process send everything again.
            continue


async def _poll(services: Services, answer_id: UUID, log: AnswerLog, left: asyncio.Event) -> None:
    reads = 0
    while not (log.ended or left.is_set()):
        try:
            row = await services.database.read.first(_ROW.where(LlmAnswer.id == answer_id))
        except Unavailable:
            pass  # it is logged, and the next read may succeed
        else:
            if row is None:
                log.close()
                return
            log.merge(Position(), row.text, row.tools)
        reads += 1
        if reads % RENEW == 0:
            await control.tell(services.pubsub, control.FOLLOW, answer_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await left.wait()
