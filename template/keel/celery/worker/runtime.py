"""The application in a worker's process: one event loop in a thread, for the lifetime of the process.

Celery forks, and calls tasks as plain functions. So nothing is opened before the fork; afterwards each process enters
the application's lifespan once, like a server, and its tasks share engine, services and connections.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from fastapi import FastAPI

T = TypeVar("T")


class Runtime:
    """An application that runs in a thread of this process."""

    def __init__(self, create_app: Callable[[], FastAPI]) -> None:
        """Build the application and start it.

        Raises:
            Exception: the error of its lifespan.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="app", daemon=True)
        self._thread.start()
        self._lifespan = AsyncExitStack()
        try:
            self.app = self.run(self._start(create_app))
        except BaseException:
            self._stop_loop()
            raise

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the event loop and wait for it; an exception that interrupts the wait cancels it.

        This returns only when the coroutine has ended: while it blocks the event loop, no other task can run there.
        Celery kills such a process at its hard time limit.
        """
        outcome: Future[T] = Future()
        running: list[asyncio.Task[T]] = []

        def begin() -> None:
            running.append(self._loop.create_task(coroutine))
            running[0].add_done_callback(lambda task: _set_outcome(task, outcome))

        def interrupt() -> None:
            running[0].cancel()

        self._loop.call_soon_threadsafe(begin)
        try:
            return outcome.result()
        except BaseException:
            if not outcome.done():
                self._loop.call_soon_threadsafe(interrupt)
                wait([outcome])
            raise

    def close(self) -> None:
        """Leave the lifespan, like a server at shutdown."""
        try:
            self.run(self._lifespan.aclose())
        finally:
            self._stop_loop()

    async def _start(self, create_app: Callable[[], FastAPI]) -> FastAPI:
        app = create_app()
        await self._lifespan.enter_async_context(app.router.lifespan_context(app))
        return app

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _set_outcome(task: asyncio.Task[T], outcome: Future[T]) -> None:
    """Pass the outcome of an asyncio task to the thread that waits."""
    if task.cancelled():
        outcome.set_exception(CancelledError())
    elif error := task.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


class ProcessRuntime:
    """The runtime of the current process: each has its own, created on first use."""

    def __init__(self, create_app: Callable[[], FastAPI]) -> None:
        self._create_app = create_app
        self._runtime: Runtime | None = None
        self._pid = 0

    def get(self) -> Runtime:
        """Return this process's runtime, never its parent's."""
        if self._runtime is None or self._pid != os.getpid():
            self._runtime, self._pid = Runtime(self._create_app), os.getpid()
        return self._runtime

    def close(self) -> None:
        """Stop this process's runtime, if it has one."""
        if self._runtime is not None and self._pid == os.getpid():
            runtime, self._runtime = self._runtime, None
            runtime.close()
