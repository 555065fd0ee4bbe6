"""Signals long-lived responses that the process is about to stop.

A server waits for open responses before it ends the lifespan, so a stream that waited for the end of the lifespan would
block shutdown for the whole grace period. This signal comes first.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether the process is draining; streams wait for this, readiness reports it."""

    def __init__(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether the process is about to stop."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Ask streams to end and load balancers to send nothing more; any thread or signal handler may call this."""
        self._loop.call_soon_threadsafe(self._begun.set)

    async def wait(self) -> None:
        """Return when the process is about to stop."""
        await self._begun.wait()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Begin when the process gets a signal to stop, and at the latest when the block ends."""
        with _on_signals(self.begin):
            try:
                yield
            finally:
                self._begun.set()


@contextmanager
def _on_signals(callback: Callable[[], None]) -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Python delivers signals to the main thread only; a server in another thread is stopped by its owner.
        yield
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        callback()
        server = previous[signal.Signals(number)]
        if callable(server):
            server(number, frame)

    for number, handler in previous.items():
        # Only if a server has its own handler: this would replace a default action, and without a server nothing waits.
        if callable(handler):
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
