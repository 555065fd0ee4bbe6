"""Computations under way: whoever asks for the same thing meanwhile waits for it instead of computing it again."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """At most one computation for each key at a time, within this process."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the outcome of the computation under way, starting it if there is none.

        It is a task of its own: a caller who gives up takes nothing from the others.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(start())
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def leave(self, key: Hashable) -> None:
        """Let whoever asks from now on start afresh; those who wait already get what is under way."""
        self._tasks.pop(key, None)

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            # Everybody may have given up by now; the error is no surprise to anyone then.
            task.exception()
