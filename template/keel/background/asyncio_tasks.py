"""Tasks that outlive their caller, and reliable cancellation."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def spawn(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task outside any request: its log lines carry no request id."""
    return asyncio.create_task(work, context=Context())


async def stop(*tasks: asyncio.Task[Any], patience: float = 1.0) -> None:
    """Cancel tasks until they have ended, again every `patience` seconds; ignore what they raise.

    Once is not always enough: before Python 3.12, `asyncio.wait_for`, which libraries use for sending, loses a
    cancellation that arrives at the moment it completes (python/cpython#86296).
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=patience)
    await asyncio.gather(*tasks, return_exceptions=True)
