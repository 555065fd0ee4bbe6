"""Tasks that outlive what started them, and ending tasks for certain."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def spawn(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that belongs to no request: its log lines carry the id of none."""
    return asyncio.create_task(work, context=Context())


async def stop(*tasks: asyncio.Task[Any], patience: float = 1.0) -> None:
    """Cancel tasks until they have ended, again after `patience` seconds; what they raise is of no interest any more.

    Once is not always enough: before Python 3.12, `asyncio.wait_for`, which libraries use for what they send, loses a
    cancellation that comes at the moment in which it ends (python/cpython#86296).
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=patience)
    await asyncio.gather(*tasks, return_exceptions=True)
