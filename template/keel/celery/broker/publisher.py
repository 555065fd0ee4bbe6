"""Publishing tasks to workers. A message contains only a task's id, so losing one loses nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind

from keel.background.asyncio_tasks import spawn
from keel.celery.broker.urls import get_scheme
from keel.celery.settings import CelerySettings
from keel.celery.tasks import metrics
from keel.observability.tracing import step

RABBITMQ = {"amqp", "amqps"}

GRACE = 10.0
"""Seconds to wait at shutdown for messages and tasks in progress."""

log = structlog.get_logger()


class Publisher(Protocol):
    """Publishes tasks to be run."""

    def publish(self, task_id: UUID) -> None:
        """Publish in the background; never wait."""

    async def publish_now(self, task_ids: Sequence[UUID]) -> None:
        """Publish, and wait for the broker's confirmation.

        Raises:
            Exception: the broker did not accept all of them.
        """

    async def drain(self, *, patient: bool = False) -> None:
        """Wait for work in progress: for some seconds, or if `patient`, until it is done."""


class _BackgroundTasks:
    """Asyncio tasks to await at shutdown."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = spawn(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self, *, patient: bool) -> None:
        end = time.monotonic() + GRACE
        while self._running and (patient or time.monotonic() < end):
            await asyncio.wait(self._running, timeout=None if patient else end - time.monotonic())
        if self._running:
            await log.awarning("tasks_interrupted", count=len(self._running))
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class InProcessPublisher:
    """Runs tasks in this process, without a broker: for development and tests."""

    def __init__(self, run: Callable[[UUID], Awaitable[float | None]]) -> None:
        self._run = run
        self._tasks = _BackgroundTasks()

    def publish(self, task_id: UUID) -> None:
        """Run a task in the background."""
        self._tasks.start(self._run_task(task_id))

    async def publish_now(self, task_ids: Sequence[UUID]) -> None:
        """Run tasks in the background."""
        for task_id in task_ids:
            self.publish(task_id)

    async def drain(self, *, patient: bool = False) -> None:
        """Wait for running tasks, and for those that they enqueue."""
        await self._tasks.drain(patient=patient)

    async def _run_task(self, task_id: UUID) -> None:
        try:
            pause = await self._run(task_id)
        except Exception:  # noqa: BLE001 - the task is still in its table
            await log.aexception("task_not_started", task=str(task_id))
            return
        if pause is not None:
            asyncio.get_running_loop().call_later(pause, self.publish, task_id)


class BrokerPublisher:
    """Sends messages with Celery, from a thread: requests do not wait for a slow or unavailable broker."""

    def __init__(self, settings: CelerySettings, on_failure: Callable[[Sequence[UUID]], Awaitable[None]]) -> None:
        """Publish to a broker; `on_failure` gets the tasks that it did not accept."""
        self._settings = settings
        self._system = "rabbitmq" if get_scheme(settings.broker_url.get_secret_value()) in RABBITMQ else "redis"
        self._on_failure = on_failure
        self._thread = ThreadPoolExecutor(1, "publisher")
        self._waiting: list[UUID] = []
        self._sending = False
        self._tasks = _BackgroundTasks()
        self._celery: Any = None

    def publish(self, task_id: UUID) -> None:
        """Send a message in the background."""
        self._waiting.append(task_id)
        if not self._sending:
            self._sending = True
            self._tasks.start(self._send_waiting())

    async def publish_now(self, task_ids: Sequence[UUID]) -> None:
        """Send messages, and wait for the broker's confirmation."""
        started = time.perf_counter()
        failure: BaseException | None = None
        with step("send tasks", kind=SpanKind.PRODUCER, attributes={"messaging.operation.type": "send"}):
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._send, task_ids)
            except BaseException as error:
                failure = error
                raise
            finally:
                metrics.record_publish(self._system, time.perf_counter() - started, failure)

    async def drain(self, *, patient: bool = False) -> None:
        """Wait for messages in progress, then close the connection."""
        await self._tasks.drain(patient=patient)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await self.publish_now(batch)
                except Exception as error:  # noqa: BLE001 - the tasks are in their table
                    await log.awarning("tasks_not_published", count=len(batch), error=repr(error))
                    await self._on_failure(batch)
        finally:
            self._sending = False

    def _send(self, task_ids: Sequence[UUID]) -> None:
        # Imported with the first message: a server that sends none saves Celery's memory and startup time.
        from keel.celery.broker.client import CeleryApp, send

        if self._celery is None:
            self._celery = CeleryApp(self._settings)
        for task_id in task_ids:
            send(self._celery, task_id)

    def _close(self) -> None:
        if self._celery is not None:
            self._celery.close()
            self._celery = None
