"""Single flight: concurrent requests for the same key share one computation."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """At most one computation per key at a time, within this process."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the computation under way, starting it if there is none.

        It runs as a task of its own: a cancelled caller does not cancel it for the others.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(start())
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def leave(self, key: Hashable) -> None:
        """Let later calls start a new computation; callers that wait already get the one under way."""
        self._tasks.pop(key, None)

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            # All callers may have been cancelled: mark the exception as retrieved.
            task.exception()
