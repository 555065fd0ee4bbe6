"""A provider on loopback, and an application that trusts it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from keel.services import services_of
from keel.testing.support import PATIENCE, Outbox, calling
from keel.tests.application import create_app
from keel.tests.auth.oidc.support import CHALLENGE, CLIENT_SECRET, believe, go_through

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider

SignIn = Callable[..., Awaitable[Response]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the provider use what authlib advises against; we do not."""
    for item in items:
        if "keel/tests/auth/oidc" in item.path.as_posix():
            for ignored in (
                "DeprecationWarning:(authlib|oidc_provider_mock)",
                "authlib.deprecate.AuthlibDeprecationWarning",
            ):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{ignored}"))


def _checked_once(import_key: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Remember private keys: the provider reads its own for every token, and checking that it is sound takes 0.1 s."""
    known: dict[str, Any] = {}

    def remember(key: Any) -> Any:
        if key["n"] not in known:
            known[key["n"]] = import_key(key)
        return known[key["n"]]

    return remember


@pytest.fixture(scope="session")
async def loopback() -> "AsyncIterator[LoopbackProvider]":
    """Return a provider that serves for all tests."""
    from joserfc._rfc7518.rsa_key import RSABinding

    from keel.tests.auth.oidc.provider import LoopbackProvider

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RSABinding, "import_private_key", staticmethod(_checked_once(RSABinding.import_private_key)))
        # It speaks plain HTTP: loading certificates would take longer than most tests.
        async with AsyncClient(verify=False, timeout=PATIENCE) as people:
            provider = LoopbackProvider(people)
            provider.start()
            await people.get(f"{provider.url}/jwks")
            yield provider
            provider.stop()


@pytest.fixture
def provider(loopback: "LoopbackProvider") -> "Iterator[LoopbackProvider]":
    """Return a provider that knows Ada, without faults."""
    loopback.clear_faults()
    loopback.knows("ada-there", email="ada@example.com", email_verified=True)
    yield loopback
    loopback.clear_faults()


@pytest.fixture(scope="session")
async def believing_app(environment: None, loopback: "LoopbackProvider") -> AsyncIterator[FastAPI]:
    """Return an application that trusts the provider, with its metadata and keys cached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH_OIDC_ISSUER", loopback.url)
        patch.setenv("AUTH_OIDC_CLIENT_ID", "harbour")
        patch.setenv("AUTH_OIDC_CLIENT_SECRET", CLIENT_SECRET)
        app = create_app()
    async with app.router.lifespan_context(app):
        oidc = services_of(app).oidc
        attempt = oidc.attempts.begin(CHALLENGE)
        back = await loopback.authorize(await oidc.provider.authorization_url(attempt), "ada-there")
        await oidc.provider.authenticate(parse_qs(urlsplit(back).query)["code"][0], attempt, None)
        yield app


@pytest.fixture
async def oidc_app(
    app: FastAPI, believing_app: FastAPI, provider: "LoopbackProvider", outbox: Outbox
) -> AsyncIterator[FastAPI]:
    """Return that application, for one test; `app` empties its database."""
    oidc = services_of(believing_app).oidc
    services_of(believing_app).mailer = outbox
    yield believing_app
    await services_of(believing_app).jobs.drain()
    services_of(believing_app).oidc = oidc


@pytest.fixture
def nothing_known(oidc_app: FastAPI, provider: "LoopbackProvider") -> None:
    """Clear the cached metadata and keys, for tests that change them."""
    believe(oidc_app, provider.url, client_secret=CLIENT_SECRET)


@pytest.fixture
async def browser(oidc_app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Return a browser with a cookie jar."""
    async with calling(oidc_app) as client:
        yield client


@pytest.fixture
def sign_in(browser: AsyncClient, provider: "LoopbackProvider") -> SignIn:
    """Return a function that takes a browser to the provider and back, and returns the final response."""

    async def run(sub: str = "ada-there") -> Response:
        return await go_through(browser, provider, sub)

    return run
