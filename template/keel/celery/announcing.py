"""Telling that there is a task to do. The table of tasks has all there is to know: a lost message loses nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind

from keel.background.asyncio_tasks import spawn
from keel.celery import measures
from keel.celery.settings import WorkerSettings
from keel.observability.tracing import step

RABBITMQ = {"amqp", "amqps"}

GRACE = 10.0
"""Seconds that are waited at shutdown for what is under way."""

log = structlog.get_logger()


class Announcer(Protocol):
    """Tells whoever does tasks."""

    def announce(self, task_id: UUID) -> None:
        """Tell soon; never waits."""

    async def deliver(self, task_ids: Sequence[UUID]) -> None:
        """Tell now; raise if the broker does not take it."""

    async def drain(self) -> None:
        """Wait for what is under way."""


class _Tasks:
    """Tasks of the event loop that are waited for at shutdown."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Any) -> None:
        task = spawn(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        end = time.monotonic() + GRACE
        while self._running and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class InProcessAnnouncer:
    """No broker: this process does the tasks, as a developer's machine and tests want it."""

    def __init__(self, run: Callable[[UUID], Awaitable[float | None]]) -> None:
        self._run = run
        self._tasks = _Tasks()

    def announce(self, task_id: UUID) -> None:
        """Do a task soon."""
        self._tasks.start(self._do(task_id))

    async def deliver(self, task_ids: Sequence[UUID]) -> None:
        """Do tasks soon."""
        for task_id in task_ids:
            self.announce(task_id)

    async def drain(self) -> None:
        """Wait for the tasks that are under way, and for those that they lead to."""
        await self._tasks.drain()

    async def _do(self, task_id: UUID) -> None:
        try:
            pause = await self._run(task_id)
        except Exception:  # noqa: BLE001 - whatever it is, the task is still in its table
            await log.aexception("task_not_begun", task=str(task_id))
            return
        if pause is not None:
            asyncio.get_running_loop().call_later(pause, self.announce, task_id)


class BrokerAnnouncer:
    """Messages by Celery, from a thread of their own: a broker that is slow or away holds no request up."""

    def __init__(self, settings: WorkerSettings, failed: Callable[[Sequence[UUID]], Awaitable[None]]) -> None:
        """Announce by a broker; `failed` is told which tasks it did not take."""
        self._settings = settings
        self._system = "rabbitmq" if urlsplit(settings.broker_url.get_secret_value()).scheme in RABBITMQ else "redis"
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, "announcer")
        self._waiting: list[UUID] = []
        self._sending = False
        self._tasks = _Tasks()
        self._celery: Any = None

    def announce(self, task_id: UUID) -> None:
        """Send a message soon."""
        self._waiting.append(task_id)
        if not self._sending:
            self._sending = True
            self._tasks.start(self._send_waiting())

    async def deliver(self, task_ids: Sequence[UUID]) -> None:
        """Send messages now, and wait until the broker has confirmed them."""
        started = time.perf_counter()
        failure: BaseException | None = None
        with step("send tasks", kind=SpanKind.PRODUCER, attributes={"messaging.operation.type": "send"}):
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._send, task_ids)
            except BaseException as error:
                failure = error
                raise
            finally:
                measures.sent(self._system, time.perf_counter() - started, failure)

    async def drain(self) -> None:
        """Wait for the messages that are under way, then hang up."""
        await self._tasks.drain()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._hang_up)

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await self.deliver(batch)
                except Exception as error:  # noqa: BLE001 - whatever it is, the tasks are in their table
                    await log.awarning("tasks_not_announced", count=len(batch), error=repr(error))
                    await self._failed(batch)
        finally:
            self._sending = False

    def _send(self, task_ids: Sequence[UUID]) -> None:
        # Loaded by the first message: a server that sends none need not know Celery.
        from keel.celery.broker import make_celery, send

        if self._celery is None:
            self._celery = make_celery(self._settings)
        for task_id in task_ids:
            send(self._celery, task_id)

    def _hang_up(self) -> None:
        if self._celery is not None:
            self._celery.close()
            self._celery = None
