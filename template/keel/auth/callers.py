"""The bearer token of a request, socket or gRPC call (RFC 6750), and the caller that it proves.

A request's token is verified once, by a middleware that never refuses, for both the rate limit and the dependencies.
"""

import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from functools import partial

from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from keel.auth.personal_tokens.format import PREFIX
from keel.auth.problems import LoginRequired, MissingScope, NotSignedIn
from keel.auth.sessions.access_tokens import Claims, InvalidToken
from keel.caller import GUEST, Verification, VerifiedCaller
from keel.services import services_of
from keel.web.paths import header
from keel.web.rate_limit import client_address

PERSONAL_TOKEN_SECONDS = 60
"""How long a connection may rely on a personal token before looking it up again: its owner may have revoked it."""

_KEY = "keel.bearer_token"


class BearerToken:
    """A token, verified at most once: an access token at once, a personal one (by a query) when its caller is needed."""

    __slots__ = ("_app", "_claims", "_invalid", "_personal", "_scopes", "_text", "_verified")

    def __init__(self, app: FastAPI, text: str | None) -> None:
        self._app = app
        self._text = text
        self._claims: Claims | None = None
        self._personal: VerifiedCaller | None = None
        self._invalid = False
        # The scopes that dependencies have required so far, to check them again during a long response.
        self._scopes: frozenset[str] = frozenset()
        self._verified: VerifiedCaller | None = None
        if text is not None and not text.startswith(PREFIX):
            with suppress(InvalidToken):
                self._claims = services_of(app).auth.tokens.verify(text)

    def log_in(self, scopes: Iterable[str] = ()) -> Claims:
        """Return the claims of an access token.

        Raises:
            NotSignedIn: there is no token, or it is not valid.
            LoginRequired: it is a personal token, which allows the API's resources but never accounts.
            MissingScope: the token lacks one of the scopes.
        """
        if self._claims is None:
            if self._text is None:
                raise NotSignedIn("Sign in first.", "Bearer")
            if self._text.startswith(PREFIX):
                raise LoginRequired
            raise _not_valid()
        self._admit(self._claims, scopes)
        return self._claims

    async def verify(self, scopes: Iterable[str] = ()) -> VerifiedCaller:
        """Return the caller, and when the proof of it expires.

        Raises:
            NotSignedIn: there is no token, or it is not valid.
            MissingScope: the token lacks one of the scopes.
            Unavailable: the database cannot be asked about a personal token.
        """
        if self._text is not None and self._text.startswith(PREFIX):
            verified = self._personal or await self._look_up(self._text)
            self._admit(verified, scopes)
            return verified
        return self.log_in(scopes)

    @property
    def verification(self) -> Verification:
        """The caller so far, to be verified again for all scopes required; a guest if none were."""
        return Verification(
            self._verified or VerifiedCaller(GUEST), partial(verify_caller, self._app, self._text, self._scopes)
        )

    def _admit(self, verified: VerifiedCaller, scopes: Iterable[str]) -> None:
        for scope in scopes:
            if scope not in verified.caller.scopes:
                raise MissingScope(scope)
        self._scopes |= frozenset(scopes)
        self._verified = verified

    async def _look_up(self, text: str) -> VerifiedCaller:
        if self._invalid:
            raise _not_valid()
        services = services_of(self._app)
        try:
            caller = await services.personal_tokens.verify(text, services.database)
        except InvalidToken:
            self._invalid = True
            raise _not_valid() from None
        self._personal = VerifiedCaller(caller, time.time() + PERSONAL_TOKEN_SECONDS)
        return self._personal

    @property
    def rate_limit_key(self) -> str | None:
        """The key under which limits count the caller from all its addresses; None to count the address."""
        if self._claims is not None:
            return f"subject:{self._claims.caller.subject}"
        if self._text is not None and self._text.startswith(PREFIX):
            return services_of(self._app).personal_tokens.counted_as(self._text)
        return None


def bearer_token(app: FastAPI, scope: Scope) -> BearerToken:
    """Return the token of a request, which is stored in its ASGI scope."""
    token: BearerToken | None = scope.get(_KEY)
    if token is None:
        token = scope[_KEY] = BearerToken(app, _read(scope))
    return token


def verification_of(connection: HTTPConnection) -> Verification:
    """Return the caller that dependencies have verified, to be verified again during the response."""
    return bearer_token(connection.app, connection.scope).verification


class CallerMiddleware:
    """Verifies the token of each request before the rate limit counts it. It never refuses one: dependencies do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on."""
        if scope["type"] != "lifespan":
            bearer_token(scope["app"], scope)
        return self.app(scope, receive, send)


def rate_limit_key(app: FastAPI, scope: Scope) -> str:
    """Return the key under which limits count a request: its caller's, or else its address."""
    return bearer_token(app, scope).rate_limit_key or client_address(scope)


async def verify_caller(app: FastAPI, token: str | None, scopes: Iterable[str] = ()) -> VerifiedCaller:
    """Return the caller that a token proves, if the token did not come in a request's header.

    Raises:
        NotSignedIn: there is no token, or it is not valid.
        MissingScope: the token lacks one of the scopes.
        Unavailable: the database cannot be asked about a personal token.
    """
    return await BearerToken(app, token).verify(scopes)


def _read(scope: Scope) -> str | None:
    value = header(scope, b"authorization")
    return value[7:].strip().decode("latin-1") if value[:7].lower() == b"bearer " else None


def _not_valid() -> NotSignedIn:
    return NotSignedIn("This token is not valid or has expired.", 'Bearer error="invalid_token"')
