"""Who is on the other end of a connection that lasts."""

import time

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.auth.identification import identify
from keel.auth.problems import MissingScope, NotSignedIn
from keel.testing.identity import sign_in
from keel.tests.auth.fixtures import NewToken, Person


async def test_access_token(app: FastAPI, anonymous: AsyncClient) -> None:
    """An access token holds until it expires, and for what it allows."""
    await sign_in(anonymous, "ada")
    token = anonymous.headers["Authorization"].removeprefix("Bearer ")
    identity = await identify(app, token, ["notes:read"])

    assert identity.caller.subject == "ada"
    assert identity.expires_at is not None
    assert 0 < identity.expires_at - time.time() <= 15 * 60
    with pytest.raises(MissingScope):
        await identify(app, token, ["admin"])


@pytest.mark.parametrize("token", [None, "", "nonsense", "keel_pat_nonsense"])
async def test_no_valid_token(app: FastAPI, token: str | None) -> None:
    """Without a valid token nobody is identified."""
    with pytest.raises(NotSignedIn):
        await identify(app, token)


async def test_personal_token(app: FastAPI, ada: Person, new_token: NewToken) -> None:
    """A personal token is looked up again soon, since its owner may revoke it."""
    identity = await identify(app, await new_token(ada), ["notes:read"])

    assert identity.caller.subject == ada.subject
    assert identity.expires_at is not None
    assert identity.expires_at - time.time() <= 60
