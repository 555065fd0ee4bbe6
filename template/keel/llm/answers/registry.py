"""The answers of this process: admission, start, stop, following; and sweeping those that others left behind."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Self
from uuid import UUID

import structlog

from keel import clock
from keel.db.database import Session
from keel.llm import telemetry
from keel.llm.answers import control
from keel.llm.answers.answer import AnswerState, Assignment, Outcome, last_of_each
from keel.llm.answers.handlers import AnswerHandler
from keel.llm.answers.keeper import Keeper
from keel.llm.answers.log import AnswerLog
from keel.llm.answers.replica import replica
from keel.llm.answers.running import RunningAnswer
from keel.llm.model.chat import ChatModel
from keel.llm.model.turns import Usage
from keel.llm.repository import AnswerRepository
from keel.llm.toolbox import Toolbox
from keel.llm.usage import TokenBudget
from keel.services import Services
from keel.web.concurrency import ConcurrencyLimit
from keel.web.errors import Unavailable

SWEPT = 100
"""Answers swept in one batch."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to store an answer."""

log = structlog.get_logger()


class Admission:
    """A slot for an answer in this process, released at the end of the block unless an answer has taken it."""

    def __init__(self, place: ExitStack) -> None:
        self._place = place

    def take(self) -> Callable[[], None]:
        """Take the slot; return a function that releases it."""
        return self._place.pop_all().close

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the slot, unless it was taken."""
        self._place.close()


class Answers:
    """The answers of this process."""

    def __init__(self, services: Services, model: ChatModel, tools: Toolbox, budget: TokenBudget) -> None:
        settings = model.settings
        self.handlers: dict[str, AnswerHandler] = {}
        self.running: dict[UUID, RunningAnswer] = {}
        self._services = services
        self._model = model
        self._tools = tools
        self._budget = budget
        self._lease = timedelta(seconds=settings.lease)
        total = settings.concurrent_answers + settings.queue_size
        self._places = ConcurrencyLimit("answers", settings.answers_per_caller, total)
        self._turns = asyncio.Semaphore(settings.concurrent_answers)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: Keeper | None = None

    def register(self, kind: str, handler: AnswerHandler) -> None:
        """Register the handler that stores answers of a kind."""
        self.handlers[kind] = handler

    async def admit(self, key: str) -> Admission:
        """Take a slot for an answer, and load the model before its lease begins.

        Args:
            key: the caller to count, such as `services.rate_limit.key(request.scope)`.

        Raises:
            ModelUnavailable: the model is known to be down, or can't be loaded.
            TooManyRequests: the caller has the maximum number of answers under way.
            Unavailable: the process has, or it is about to stop.
        """
        if self._services.shutdown.begun:
            raise Unavailable("This process is about to stop.")
        self._model.breaker.check()
        with ExitStack() as place:
            place.enter_context(self._places.counted(key))
            place.enter_context(telemetry.active_answer())
            await self._model.load()
            place.enter_context(telemetry.active_answer())
            return Admission(place.pop_all())

    async def assign(self, session: Session, assignment: Assignment, admission: Admission) -> None:
        """Begin an answer when a transaction is committed.

        Raises:
            KeyError: no handler is registered for its kind.
        """
        self.handlers[assignment.kind]
        now = clock.now()
        await AnswerRepository(session).add(
            id=assignment.id,
            kind=assignment.kind,
            owner_id=assignment.caller.subject,
            model=self._model.name,
            text="",
            tools=[],
            input_tokens=0,
            output_tokens=0,
            stop_requested=False,
            heartbeat_at=now,
            created_at=now,
        )

        async def start() -> None:
            self._start(assignment, admission.take())

        session.after_commit(start)

    async def stop(self, session: Session, answer_id: UUID) -> bool:
        """Stop an answer in any process, on commit; return whether it is under way."""
        found = await AnswerRepository(session).stop(answer_id)
        session.after_commit(partial(control.tell, self._services.pubsub, control.STOP, answer_id))
        return found

    @asynccontextmanager
    async def log(self, answer_id: UUID) -> AsyncGenerator[AnswerLog]:
        """Yield the log of an answer in this or another process, to follow while the block runs."""
        if answer := self.running.get(answer_id):
            yield answer.log
            return
        async with replica(self._services, answer_id) as log:
            yield log

    async def sweep(self) -> int:
        """Store answers without a heartbeat as interrupted, with the text so far; return how many."""
        before = clock.now() - self._lease
        found = await AnswerRepository(self._services.database.read).silent(before, SWEPT)
        for answer_id in found:
            async with self._services.database.transaction() as session:
                row = await AnswerRepository(session).release(answer_id, silent_since=before)
                if row is None or row.kind not in self.handlers:
                    continue
                usage = Usage(row.input_tokens, row.output_tokens)
                tools = last_of_each(row.tools)
                state = AnswerState.INTERRUPTED
                outcome = Outcome(row.id, row.owner_id, state, row.text, row.model, usage, tools=tools)
                await self._store(session, row.kind, outcome)
            await log.awarning("answer_interrupted", answer=str(answer_id))
            await control.publish_end(self._services.pubsub, answer_id)
        return len(found)

    async def sweeping(self, over: asyncio.Event) -> None:
        """Sweep periodically until `over` is set; cancelling a sweep would cost its connection."""
        while not over.is_set():
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - the next sweep may succeed
                await log.awarning("answers_sweep_failed", error=repr(error)[:500])
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease.total_seconds() * random.uniform(0.5, 1)):  # noqa: S311 - jitter
                    await over.wait()

    async def drain(self, seconds: float) -> None:
        """Wait for the answers of this process; interrupt those that are late, with the text so far."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for answer in list(self.running.values()):
            answer.stop(AnswerState.INTERRUPTED)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, assignment: Assignment, give_back: Callable[[], None]) -> None:
        answer = self.running[assignment.id] = RunningAnswer(assignment, self._model, self._tools, self._turns)
        if self._keeper is None:
            self._keeper = Keeper(self._services, self.running)
        # Not `spawn`: log lines and spans belong to the request that asked.
        task = asyncio.create_task(self._run(answer, give_back))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, answer: RunningAnswer, give_back: Callable[[], None]) -> None:
        try:
            outcome = await answer.produce()
            await self._finish(answer.assignment.kind, outcome)
        except Exception:  # noqa: BLE001 - its row stays, so a later sweep stores it as interrupted
            await log.aexception("answer_not_stored", answer=str(answer.assignment.id))
        finally:
            del self.running[answer.assignment.id]
            give_back()
            answer.log.close()
            if not self.running and self._keeper:
                keeper, self._keeper = self._keeper, None
                await keeper.close()
        await control.publish_end(self._services.pubsub, answer.assignment.id)

    async def _finish(self, kind: str, outcome: Outcome) -> None:
        """Store the outcome of an answer of this process, with retries while the database is unavailable."""
        for pause in (*PAUSES, None):
            try:
                async with self._services.database.transaction() as session:
                    # Its owner may have changed: accounts can be merged.
                    if row := await AnswerRepository(session).release(outcome.id):
                        await self._store(session, kind, replace(outcome, owner_id=row.owner_id))
                return
            except Unavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def _store(self, session: Session, kind: str, outcome: Outcome) -> None:
        await self.handlers[kind].finish(session, outcome)
        await self._budget.spend(session, outcome.owner_id, outcome.usage)
        session.after_commit(partial(telemetry.answer_ended, outcome.state))
