"""HTTP connections with limits: size and time of a head, time of a body, unread responses, and open connections."""

import asyncio
from collections import deque
from enum import Enum
from heapq import nsmallest
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD = 65536
"""Limit of a request's first line and headers, in bytes."""

HEAD_SECONDS = 20.0
"""Time limit of a head, from its first byte."""

BODY_SECONDS = 20.0
"""Time limit of a body, plus a second for each `BODY_RATE` bytes of it."""

BODY_RATE = 500

UNREAD_SECONDS = 60.0
"""How long a client may leave a response unread."""

MAX_PIPELINED = 64
"""Requests that may be pipelined behind another on one connection: all that have arrived are parsed at once, while all
other clients wait."""

LINGER_SECONDS = 2.0
"""How long further data of a refused client is discarded: closing the connection at once would lose the refusal
too."""

LINGER_BYTES = 1_048_576

REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large"}


class Phase(Enum):
    """The phase of a connection: what it waits for."""

    REQUEST = "request"
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    REFUSED = "refused"


class LimitedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with limits. `limit_concurrency` is the number of connections, sockets included.

    Beyond that, the connections that have been idle longest are closed. If none is idle, only probes are answered on
    the new one. `check`, called about once a second, closes connections that exceed a time limit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_connections = self.limit_concurrency
        self.limit_concurrency = None
        self.phase = Phase.REQUEST
        self.since = self.loop.time()
        self._parsed = self._silent = self._body = 0
        self._unread: tuple[int, float] | None = None
        self._unanswered: deque[RequestResponseCycle] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Make room for the connection, or restrict it to probes."""
        super().connection_made(transport)
        if self.max_connections is None or len(self.connections) <= self.max_connections:
            return
        waiting = [
            each
            for each in self.connections
            if isinstance(each, LimitedProtocol) and each is not self and each.phase is not Phase.ANSWER
        ]
        if waiting:
            # Several at once, since scanning all connections for each new one would be expensive.
            for each in nsmallest(max(1, self.max_connections // 20), waiting, key=lambda each: each.since):
                each.close("too_many_connections")
        else:
            self.app = only_probes(self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Signal the disconnect to every request; Uvicorn signals only the latest one.

        Uvicorn's timer for the next request would keep a reset connection and its last request in memory until it ends.
        """
        super().connection_lost(exc)
        self._abandon()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse received data, and refuse a head that is too large."""
        if self.phase is Phase.REFUSED:
            self._silent += len(data)
            if self._silent > LINGER_BYTES:
                self.transport.abort()
            return
        parsed = self._parsed
        super().data_received(data)
        if self.phase is Phase.HEAD:
            # A part of one header: the parser buffers it, and reports only complete ones.
            if parsed == self._parsed:
                self._silent += len(data)
            else:
                # The rest after the last complete line. It may be a part of the first line, which is already counted.
                self._silent = max(0, len(data) - data.rfind(b"\n") - 1 - self._parsed)
            if self._parsed + self._silent > MAX_HEAD:
                self.refuse(431)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is malformed, has too large a head, or is pipelined behind too many."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self.close("too_many_pipelined")
        elif self._parsed > MAX_HEAD:
            self.refuse(431)
        elif self._answering:
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Start counting a head."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise httptools.HttpParserError("too many pipelined requests")
        super().on_message_begin()
        self._parsed = self._silent = self._body = 0
        self._enter(Phase.HEAD)

    def on_url(self, url: bytes) -> None:
        """Count a part of the first line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the phase of the body."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self._unanswered.append(self.cycle)
        self._enter(Phase.BODY)

    def on_body(self, body: bytes) -> None:
        """Count a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Start waiting for the application, unless it has already answered."""
        super().on_message_complete()
        self._enter(Phase.REQUEST if self._answered else Phase.ANSWER)

    def on_response_complete(self) -> None:
        """Start waiting for the next request, unless it has arrived or the client still sends the body."""
        self._unanswered.popleft()
        super().on_response_complete()
        if self.phase is Phase.ANSWER and self._answered:
            self._enter(Phase.REQUEST)

    def check(self, now: float) -> None:
        """Close the connection if its client is too slow."""
        seconds = now - self.since
        match self.phase:
            case Phase.REQUEST if seconds > self.timeout_keep_alive:
                self.transport.close()
            case Phase.REFUSED if seconds > LINGER_SECONDS:
                self.transport.abort()
            case Phase.HEAD if seconds > HEAD_SECONDS:
                self.refuse(408)
            case Phase.BODY if self.flow.read_paused:
                self.since = now  # The application has paused reading: the client is not to blame.
            case Phase.BODY if seconds > BODY_SECONDS + self._body / BODY_RATE:
                self.refuse(408)
        self._check_reading(now)

    def refuse(self, status: int) -> None:
        """Answer with a status if no response has begun, and close the connection."""
        self.logger.warning("connection_refused: %s", REASONS[status])
        answering = self._answering
        # The application sees a disconnect, and what it still sends is dropped.
        self._abandon()
        if answering or not self.transport.can_write_eof():
            self.transport.close()
            return
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.write_eof()
        self.flow.resume_reading()
        self._enter(Phase.REFUSED)

    def close(self, reason: str) -> None:
        """Close the connection without a response."""
        self.logger.warning("connection_closed: %s", reason)
        self.transport.abort()

    @property
    def _answered(self) -> bool:
        return not self._unanswered

    @property
    def _answering(self) -> bool:
        return bool(self._unanswered) and self._unanswered[0].response_started

    def _abandon(self) -> None:
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, self.loop.time()

    def _count(self, size: int) -> None:
        self._parsed += size
        self._silent = 0
        if self._parsed > MAX_HEAD:
            raise httptools.HttpParserError("the head is too large")

    def _check_reading(self, now: float) -> None:
        """Give up on a client that does not read: the memory of its response is not freed otherwise."""
        unread = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        if not unread:
            self._unread = None
        elif self._unread is None or unread < self._unread[0]:
            self._unread = unread, now
        elif now - self._unread[1] > UNREAD_SECONDS:
            self.close("slow_reader")


def only_probes(app: Any) -> Any:
    """Return an application that refuses all requests but probes: the process is at its limit of connections."""
    # Imported late: the master, which loads this module, must not load the application.
    from keel.web.errors import Unavailable, from_app_error
    from keel.web.paths import path_below
    from keel.web.rate_limit import EXEMPT

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and path_below(scope) not in EXEMPT:
            refusal = from_app_error(Unavailable("Too many connections are open.", retry_after=5))
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer
