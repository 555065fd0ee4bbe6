"""HTTP calls to the provider: with timeouts, without redirects, with errors that may be shown to callers."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

import anyio
import structlog
from anyio import to_thread

from keel.auth.oidc.problems import ProviderFault, ProviderUnavailable, SignInFailed
from keel.auth.oidc.settings import OidcSettings

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

log = structlog.get_logger(__name__)

SERVER_ERROR = 500


def fault(what: str, reason: object) -> ProviderFault:
    """Log why a response is not usable; return the error for the caller."""
    log.warning("oidc_provider_fault", what=what, reason=str(reason))
    return ProviderFault()


class Calls:
    """Makes HTTP clients with our credentials at the provider."""

    def __init__(self, settings: OidcSettings, redirect_url: str) -> None:
        self._settings = settings
        self._redirect_url = redirect_url

    async def client(self, auth_method: str = "none") -> "AsyncOAuth2Client":
        """Return a client (`async with` closes it)."""
        tls = await to_thread.run_sync(_prepare)
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        return AsyncOAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret.get_secret_value() or None,
            token_endpoint_auth_method=auth_method,
            redirect_uri=self._redirect_url,
            verify=tls,
            timeout=self._settings.timeout,
            follow_redirects=False,
        )

    def authorization_url(self, endpoint: str, *, state: str, nonce: str, verifier: str) -> str:
        """Return the URL of the authorization request (OpenID Connect Core 1.0, 3.1.2.1)."""
        # Without a client, which would be opened and closed without a single call.
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        return prepare_grant_uri(
            endpoint,
            client_id=self._settings.client_id,
            response_type="code",
            redirect_uri=self._redirect_url,
            scope=self._settings.scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )

    async def get(self, what: str, url: str, token: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON object at a URL, requested with an access token if there is one.

        Raises:
            ProviderUnavailable: the provider does not answer.
            ProviderFault: the response is an error, or not a JSON object.
        """
        async with self.answering(what), await self.client() as client:
            if token is not None:
                client.token = token
            response = await client.request(
                "GET", url, withhold_token=token is None, headers={"Accept": "application/json"}
            )
            if not response.is_success:
                # Redirects too: only the provider's own documents are trusted.
                response.raise_for_status()
                raise ValueError("the response is empty")
            document = response.json()
            if not isinstance(document, dict):
                raise ValueError("the response is not a JSON object")
            return document

    @asynccontextmanager
    async def answering(self, what: str) -> AsyncGenerator[None]:
        """Limit the time of a call and translate its errors.

        Raises:
            ProviderUnavailable: it did not answer in time.
            SignInFailed: it does not accept the code.
            ProviderFault: the response is not usable.
        """
        import httpx2
        from authlib.common.errors import AuthlibBaseError

        try:
            with anyio.fail_after(self._settings.timeout):
                yield
        except (httpx2.TransportError, TimeoutError) as error:
            log.warning("oidc_provider_unavailable", what=what, reason=type(error).__name__)
            raise ProviderUnavailable from error
        except httpx2.HTTPStatusError as error:
            if error.response.status_code < SERVER_ERROR:
                raise fault(what, error.response.status_code) from error
            log.warning("oidc_provider_unavailable", what=what, reason=error.response.status_code)
            raise ProviderUnavailable from error
        except AuthlibBaseError as error:
            if error.error == "invalid_grant":
                raise SignInFailed("The provider does not accept this code; sign in again.") from error
            raise fault(what, error.error) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise fault(what, type(error).__name__) from error


@cache
def _prepare() -> SSLContext:
    """Import modules and load certificates in a thread: it takes a few hundred milliseconds, once."""
    import authlib.integrations.httpx_client  # noqa: F401 - loaded ahead
    import httpx2

    return httpx2.create_ssl_context()
