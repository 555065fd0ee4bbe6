"""ID tokens of a sign-in: the expected values, and the provider's keys."""

from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from keel.auth.models import User
from keel.auth.oidc.problems import ProviderFault
from keel.auth.oidc.provider import cache
from keel.services import services_of
from keel.tests.auth.oidc.conftest import SignIn
from keel.tests.auth.oidc.support import DISCOVERY, KEYS, TOKEN, authenticate, count

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider


async def assert_refused(app: FastAPI, sign_in: SignIn) -> None:
    """Check that the sign-in fails and creates no account."""
    answer = await sign_in()

    assert answer.status_code == 502, answer.text
    assert answer.json()["type"] == "urn:problem:provider-fault"
    assert await count(app, User) == 0


@pytest.mark.parametrize("claim", ["nonce", "iss", "aud", "at_hash"])
async def test_expected_claims(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", claim: str) -> None:
    """A token must match this attempt, provider, client and access token; see `test_id_tokens`."""
    provider.change_claims({claim: "another"})

    await assert_refused(oidc_app, sign_in)


async def test_algorithm_that_is_not_offered(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """A token signed with an algorithm that discovery does not offer is refused."""
    provider.change_claims({"at_hash": None}, alg="RS512")

    await assert_refused(oidc_app, sign_in)


async def test_token_signed_by_another_key(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """Tokens signed with another key are refused."""
    provider.change_claims({})

    assert (await sign_in()).status_code == 303
    assert await count(oidc_app, User) == 1


@pytest.mark.usefixtures("nothing_known")
async def test_published_secret(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """A shared secret among the published keys is ignored, even if discovery offers HS256."""
    from joserfc.jwk import OctKey

    secret = OctKey.import_key(b"x" * 32, {"kid": "shared"})
    provider.changes[KEYS] = lambda said: {"keys": [*said["keys"], secret.as_dict()]}
    provider.changes[DISCOVERY] = lambda said: {**said, "id_token_signing_alg_values_supported": ["RS256", "HS256"]}
    provider.change_claims({"at_hash": None}, alg="HS256", key=secret)

    await assert_refused(oidc_app, sign_in)
    assert [key.key_type for key in await services_of(oidc_app).oidc.provider._keys.get()] == ["RSA"]


@pytest.mark.parametrize("token", [None, 1, {}, "a.b.c"])
async def test_no_token(oidc_app: FastAPI, provider: "LoopbackProvider", token: object) -> None:
    """A malformed token is refused."""
    provider.answers[TOKEN] = {"access_token": "access", "token_type": "Bearer", "id_token": token}

    with pytest.raises(ProviderFault):
        await authenticate(oidc_app)


@pytest.mark.usefixtures("nothing_known")
async def test_rotation(sign_in: SignIn, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key of the provider is fetched, at most once a minute however many tokens name one."""
    assert (await sign_in()).status_code == 303
    provider.rotate()
    provider.calls.clear()
    assert (await sign_in()).status_code == 303
    assert (await sign_in()).status_code == 303
    assert provider.calls.count(KEYS) == 1

    provider.rotate()
    assert (await sign_in()).status_code == 502
    assert provider.calls.count(KEYS) == 1
    later = cache.monotonic() + cache.REFRESH_PAUSE + 1
    monkeypatch.setattr(cache, "monotonic", lambda: later)
    assert (await sign_in()).status_code == 303
    assert provider.calls.count(KEYS) == 2


@pytest.mark.usefixtures("nothing_known")
async def test_rotation_by_name(sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """The same with several published keys and key ids in the tokens."""
    provider.change_claims({})
    assert (await sign_in()).status_code == 303
    provider.rotate()
    provider.calls.clear()

    assert (await sign_in()).status_code == 303
    assert provider.calls.count(KEYS) == 1
