"""The handshake of a WebSocket: origin, subprotocol, authentication, and connections per caller."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from starlette.types import Scope

from keel.caller import GUEST, VerifiedCaller
from keel.identity import verify_caller
from keel.services import services_of
from keel.settings import CoreSettings
from keel.web.errors import AppError, Forbidden, Unavailable
from keel.web.rate_limit import client_address
from keel.websockets.frames import BEARER, Authenticate, CloseCode


class OriginNotAllowed(Forbidden):
    """A page of another site tried to open a socket on behalf of its visitor."""

    type = "urn:problem:origin-not-allowed"


def is_origin_allowed(scope: Scope, settings: CoreSettings) -> bool:
    """Whether a connection comes from a page of the requested host, from one of `CORS_ORIGINS`, or not from a browser.

    Browsers let any page open a WebSocket to any server, with cookies; only `Origin` distinguishes pages
    (RFC 6455, 10.2). Other programs need not send it.
    """
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1")
    if origin in settings.cors_origins:
        return True
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


class Handshake:
    """A handshake, for an `async with` block as long as the connection, which counts towards its caller's limit.

    Before `accept`, an `AppError` refuses the handshake with a problem document; afterwards it closes the connection
    with the matching code. A client without a token in its handshake is accepted, to send one in its first frame.

    A class, since the frames of functions would take several times its memory for each idle connection.

    Raises:
        OriginNotAllowed: on entering; a page of another site.
        Unavailable: on entering; the process is about to stop.
        TooManyRequests: on entering; the caller has too many connections.
        AppError: on entering; the token is refused.
        WebSocketDisconnect: on entering; the connection was closed, since there was no valid token in the first frame.
    """

    __slots__ = ("_accepted", "_counted_as", "identity", "registry", "scopes", "subprotocol", "token", "websocket")

    identity: VerifiedCaller
    """The caller, once the block is entered."""

    def __init__(
        self, websocket: WebSocket[Any], *, scopes: Sequence[str] = (), subprotocols: Sequence[str] = ()
    ) -> None:
        """Prepare a handshake.

        Args:
            websocket: not accepted yet.
            scopes: those that the caller must have.
            subprotocols: those of the endpoint, the preferred one first.
        """
        self.websocket = websocket
        self.registry = services_of(websocket.app).websockets
        self.scopes = scopes
        offered = websocket.scope["subprotocols"]
        self.token = _offered_token(offered)
        self.subprotocol = next((name for name in (*subprotocols, BEARER) if name in offered), None)
        """The selected subprotocol: the endpoint's first that the client offers, else `bearer` if offered."""
        self._counted_as: str | None = None
        self._accepted = False

    async def __aenter__(self) -> Self:
        """Check the origin, identify the caller, and count the connection."""
        if not is_origin_allowed(self.websocket.scope, services_of(self.websocket.app).settings):
            raise OriginNotAllowed("Pages of this origin may not connect; see CORS_ORIGINS.")
        if self.registry.draining:
            raise Unavailable("The server is restarting; try again.")
        try:
            self.identity = await self._identify()
            counted_as = self._key()
            self.registry.acquire(counted_as)
            self._counted_as = counted_as
        except AppError as error:
            if not self._accepted:
                raise
            code = await self._close(error)
            # The body of the block must not run; to the middleware, this is the end of the connection.
            raise WebSocketDisconnect(int(code)) from error
        return self

    async def accept(self) -> None:
        """Accept the handshake, unless that was already done to receive the token."""
        if not self._accepted:
            await self.websocket.accept(self.subprotocol)
            self._accepted = True

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Stop counting the connection; close it if an error ended it."""
        if self._counted_as is not None:
            self.registry.release(self._counted_as)
        if self._accepted and isinstance(error, AppError):
            await self._close(error)
            return True
        return False

    async def _close(self, error: AppError) -> CloseCode:
        code = CloseCode.of(error)
        with suppress(WebSocketDisconnect):
            await self.websocket.close(int(code), code.reason)
        return code

    def _key(self) -> str:
        if self.identity.caller == GUEST:
            return client_address(self.websocket.scope)
        return f"subject:{self.identity.caller.subject}"

    async def _identify(self) -> VerifiedCaller:
        try:
            return await verify_caller(self.websocket.app, self.token, self.scopes)
        except AppError as error:
            if self.token is not None or CloseCode.of(error) is not CloseCode.UNAUTHENTICATED:
                raise
        # Until it has sent its token, a connection counts against its address.
        address = client_address(self.websocket.scope)
        self.registry.acquire(address)
        try:
            await self.accept()
            self.token = await self._receive_token(self.registry.settings.authenticate_seconds)
        finally:
            self.registry.release(address)
        return await verify_caller(self.websocket.app, self.token, self.scopes)

    async def _receive_token(self, seconds: float) -> str | None:
        """Return the token in the first frame; None if it is late or in no `Authenticate` frame.

        Raises:
            WebSocketDisconnect: the connection was closed instead, by the client or because of what it sent.
        """
        try:
            async with asyncio.timeout(seconds):
                message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            return Authenticate.model_validate_json(message.get("text") or "").token
        except (TimeoutError, ValidationError):
            return None


def _offered_token(subprotocols: Sequence[str]) -> str | None:
    if BEARER not in subprotocols:
        return None
    position = subprotocols.index(BEARER) + 1
    return subprotocols[position] if position < len(subprotocols) else None
