"""The OpenID provider: authorization requests, code exchange, validated claims."""

from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import TypeAdapter, ValidationError

from keel.auth.accounts.schemas import Email
from keel.auth.oidc.attempts import Attempt
from keel.auth.oidc.provider.cache import Cached
from keel.auth.oidc.provider.calls import Calls, fault
from keel.auth.oidc.provider.id_token import InvalidIdToken, UnknownKey, verify_id_token
from keel.auth.oidc.provider.metadata import InvalidMetadata, Metadata, read_metadata
from keel.auth.oidc.settings import OidcSettings

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


@dataclass(frozen=True, slots=True)
class Person:
    """A person, by the provider's claims."""

    issuer: str
    subject: str
    email: str | None
    """The address, if the provider has verified it."""


class Provider:
    """Client of one provider; its metadata and keys are cached."""

    def __init__(self, settings: OidcSettings, redirect_url: str) -> None:
        self._settings = settings
        self._calls = Calls(settings, redirect_url)
        self._metadata = Cached(self._load_metadata)
        self._keys = Cached(self._load_keys)

    async def authorization_url(self, attempt: Attempt) -> str:
        """Return the URL of the authorization request.

        Raises:
            ProviderUnavailable: the provider does not answer.
            ProviderFault: its metadata is not usable.
        """
        metadata = await self._metadata.get()
        return self._calls.authorization_url(
            metadata.authorization_endpoint, state=attempt.state, nonce=attempt.nonce, verifier=attempt.verifier
        )

    async def authenticate(self, code: str, attempt: Attempt, answering: str | None) -> Person:
        """Exchange a code for the person that signed in; `answering` is the `iss` of the response (RFC 9207).

        Raises:
            SignInFailed: the provider does not accept the code.
            ProviderUnavailable: it does not answer.
            ProviderFault: a response or the ID token is not valid.
        """
        metadata = await self._metadata.get()
        expected = metadata.issuer if metadata.authorization_response_iss_parameter_supported else answering
        if answering != expected or answering not in {None, metadata.issuer}:
            raise fault("answer", "it comes from another issuer")
        token = await self._exchange(metadata, code, attempt)
        claims = await self._verify(metadata, token, attempt)
        if "email" not in claims and metadata.userinfo_endpoint:
            # A provider that also issues an access token may return addresses only from this endpoint (Core 1.0, 5.4).
            claims = await self._ask(metadata.userinfo_endpoint, token, claims["sub"])
        return Person(metadata.issuer, claims["sub"], _verified_address(claims))

    async def _exchange(self, metadata: Metadata, code: str, attempt: Attempt) -> dict[str, Any]:
        method = metadata.auth_method(secret=bool(self._settings.client_secret.get_secret_value()))
        async with self._calls.answering("token"), await self._calls.client(method) as client:
            token = await client.fetch_token(
                metadata.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
            )
        if not isinstance(token.get("id_token"), str) or not isinstance(token.get("access_token"), str):
            raise fault("token", "there is no ID token or no access token")
        return token

    async def _verify(self, metadata: Metadata, token: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
        def check(keys: KeySet) -> dict[str, Any]:
            return verify_id_token(
                token["id_token"],
                keys,
                algorithms=metadata.algorithms,
                issuer=metadata.issuer,
                client_id=self._settings.client_id,
                nonce=attempt.nonce,
                access_token=token["access_token"],
            )

        try:
            try:
                return check(await self._keys.get())
            except UnknownKey:
                return check(await self._keys.refresh())
        except InvalidIdToken as error:
            raise fault("ID token", error) from error

    async def _ask(self, url: str, token: dict[str, Any], subject: str) -> dict[str, Any]:
        claims = await self._calls.get("userinfo", url, token)
        if claims.get("sub") != subject:
            raise fault("userinfo", "its `sub` differs from the ID token's")
        return claims

    async def _load_metadata(self) -> Metadata:
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            return read_metadata(await self._calls.get("discovery", url), self._settings)
        except InvalidMetadata as error:
            raise fault("discovery", error) from error

    async def _load_keys(self) -> KeySet:
        metadata = await self._metadata.get()
        document = await self._calls.get("keys", metadata.jwks_uri)
        try:
            # Symmetric keys do not belong in a published document.
            public = [key for key in document["keys"] if key["kty"] != "oct"]
            return KeySet.import_key_set({"keys": public})
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise fault("keys", type(error).__name__) from error


def _verified_address(claims: dict[str, Any]) -> str | None:
    # Some providers send a string.
    if claims.get("email_verified") not in (True, "true"):
        return None
    try:
        return _EMAIL.validate_python(claims.get("email"))
    except ValidationError:
        return None
