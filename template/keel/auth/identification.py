"""Who is on the other end of a connection that lasts, from a token that came by another way than the header."""

import time
from collections.abc import Iterable

from fastapi import FastAPI

from keel.auth.personal_tokens.callers import PersonalTokenCallers
from keel.auth.personal_tokens.format import PREFIX
from keel.auth.problems import MissingScope, NotSignedIn
from keel.auth.state import Auth
from keel.auth.tokens import InvalidToken
from keel.caller import Identity
from keel.services import services_of

PERSONAL_TOKEN_SECONDS = 60
"""How long a connection may rely on a personal token before it is looked up again: its owner may have revoked it."""


async def identify(app: FastAPI, token: str | None, scopes: Iterable[str] = ()) -> Identity:
    """Return whose token it is, and until when that holds.

    Raises:
        NotSignedIn: there is no token, or it is not valid.
        MissingScope: the token does not allow what is asked for.
        Unavailable: the database cannot be asked about a personal token.
    """
    if token is None:
        raise NotSignedIn("Sign in first.", "Bearer")
    try:
        identity = await _identify(app, token)
    except InvalidToken:
        raise NotSignedIn("This token is not valid, or not any more.", 'Bearer error="invalid_token"') from None
    for scope in scopes:
        if scope not in identity.caller.scopes:
            raise MissingScope(scope)
    return identity


async def _identify(app: FastAPI, token: str) -> Identity:
    if token.startswith(PREFIX):
        tokens: PersonalTokenCallers = services_of(app).personal_tokens
        caller = await tokens.verify(token, services_of(app).database)
        return Identity(caller, time.time() + PERSONAL_TOKEN_SECONDS)
    claims = Auth.of(app).tokens.verify(token)
    return Identity(claims.caller, claims.expires_at)
