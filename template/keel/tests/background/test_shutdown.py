"""Shutdown signals."""

import asyncio
import signal
import threading

import pytest

from keel.application import new_app
from keel.background.shutdown import Shutdown
from keel.testing.server import Server
from keel.testing.support import PATIENCE


async def test_signal_reaches_the_shutdown_and_then_the_server() -> None:
    """The signal begins the shutdown, then reaches the server's own handler."""
    heard: list[int] = []

    def server_handler(number: int, _: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, server_handler)
    try:
        shutdown = Shutdown()
        async with shutdown.listening():
            assert not shutdown.begun
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await shutdown.wait()
        after = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert heard == [signal.SIGTERM]
    assert after is server_handler


async def test_default_action_is_kept() -> None:
    """Without a server's handler, a signal has its default action."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        async with Shutdown().listening():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_end_of_the_lifespan_begins_the_shutdown() -> None:
    """However the application ends, its streams end."""
    shutdown = Shutdown()
    async with shutdown.listening():
        pass

    assert shutdown.begun


def test_other_threads_get_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread other than the main one, no signal handler is installed."""
    touched: list[object] = []
    monkeypatch.setattr(signal, "signal", lambda *_: touched.append(_))

    async def listen() -> None:
        async with Shutdown().listening():
            pass

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    thread.join()

    assert touched == []


async def test_requests_in_progress_are_finished(environment: None) -> None:
    """A request in progress when the signal arrives gets its response."""
    app, begun = new_app(), threading.Event()
    server = Server(app)

    @app.get("/slow")
    async def answer_late() -> str:
        begun.set()
        while server.accepting:
            await asyncio.sleep(0.02)
        return "finished"

    with server:
        async with server.client() as client:
            request = asyncio.create_task(client.get("/slow"))
            await asyncio.to_thread(begun.wait, PATIENCE)
            await asyncio.to_thread(server.stop)

            assert (await request).json() == "finished"
