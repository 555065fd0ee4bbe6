"""Stopping asyncio tasks."""

import asyncio

from keel.background.asyncio_tasks import stop


async def test_lost_cancellation() -> None:
    """A task that swallows one cancellation, as some libraries do, is stopped by the next."""
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost += 1
        await asyncio.Event().wait()

    async def failing() -> None:
        raise LookupError

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    await stop(*tasks, patience=0.01)

    assert lost == 1
    assert tasks[0].cancelled()
