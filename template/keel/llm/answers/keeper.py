"""Keeps this process's answers alive: heartbeats with their progress, and messages from other processes."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

import structlog

from keel import clock
from keel.background.asyncio_tasks import spawn, stop
from keel.llm.answers import control
from keel.llm.answers.answer import AnswerState
from keel.llm.answers.log import Position
from keel.llm.answers.running import RunningAnswer
from keel.llm.repository import AnswerRepository
from keel.messaging.pubsub import HistoryLost, SubscriberTooSlow
from keel.services import Services

HEARTBEAT = 2.0
"""Seconds between two heartbeats; each is one transaction for all answers of the process."""

FOLLOWED = 15.0
"""Seconds for which an answer is published after another process has announced that it follows."""

PACE = 0.05
"""Seconds between two published parts of an answer."""

log = structlog.get_logger()


class Keeper:
    """Runs while this process produces answers; otherwise there are no heartbeats and no subscription."""

    def __init__(self, services: Services, running: Mapping[UUID, RunningAnswer]) -> None:
        self._services = services
        self._running = running
        self._followed: dict[UUID, tuple[float, Position]] = {}
        """For each answer: the deadline by the loop's clock, and the position published so far."""
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._task = spawn(self._run())

    async def close(self) -> None:
        """Wait for a heartbeat in progress: cancelling it would cost its connection."""
        self._over.set()
        await self._task

    async def _run(self) -> None:
        tasks = [spawn(self._listen()), spawn(self._publish())]
        try:
            await self._beat()
        finally:
            await stop(*tasks)

    async def beat(self) -> None:
        """Store the progress of each answer. Those without a row are ended: they were deleted, or swept elsewhere."""
        answers = dict(self._running)
        rows = [
            {
                "answer_id": id_,
                "text": answer.log.text,
                "tools": answer.log.tools,
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
                "heartbeat_at": clock.now(),
            }
            for id_, answer in answers.items()
        ]
        async with self._services.database.transaction() as session:
            repository = AnswerRepository(session)
            await repository.beat(rows)
            states = await repository.states(answers.keys())
        for id_, answer in answers.items():
            if states.get(id_, True):
                answer.stop(AnswerState.STOPPED)

    async def _beat(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._over.wait()
            if self._over.is_set():
                return
            try:
                await self.beat()
            except Exception as error:  # noqa: BLE001 - the next heartbeat may succeed
                await log.awarning("answers_heartbeat_failed", error=repr(error)[:500])

    async def _listen(self) -> None:
        while True:
            try:
                async with self._services.pubsub.subscribe(control.TOPIC) as messages:
                    async for message in messages:
                        self._on_message(message.event, UUID(message.data))
            except (HistoryLost, SubscriberTooSlow):
                continue  # followers repeat it, and stop requests are in the database

    def _on_message(self, event: str, answer_id: UUID) -> None:
        answer = self._running.get(answer_id)
        if answer is None:
            return
        if event == control.STOP:
            answer.stop(AnswerState.STOPPED)
        else:
            # From the beginning: a new follower has nothing yet.
            self._followed[answer_id] = (asyncio.get_running_loop().time() + FOLLOWED, Position())
            self._news.set()

    async def _publish(self) -> None:
        while True:
            await self._news.wait()
            now = asyncio.get_running_loop().time()
            for id_, (until, position) in list(self._followed.items()):
                answer = self._running.get(id_)
                if answer is None or until < now:
                    del self._followed[id_]
                elif answer.log.end != position:
                    reached = await control.publish(self._services.pubsub, id_, answer.log, position)
                    if self._followed.get(id_) == (until, position):  # unless another one has begun to follow meanwhile
                        self._followed[id_] = (until, reached)
            if not self._followed:
                self._news.clear()
            await asyncio.sleep(PACE)
