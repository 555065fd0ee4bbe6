"""Settings of the OpenID provider."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


def _url(value: str) -> str:
    """Refuse URLs with credentials, query or fragment; the text is kept, since issuers are compared exactly."""
    parts = urlsplit(value)
    plain = parts.scheme in {"https", "http"} and parts.hostname and "@" not in parts.netloc
    if value and (not plain or parts.query or parts.fragment):
        raise ValueError("write it as https://host/path")
    return value


Url = Annotated[str, Field(max_length=255), AfterValidator(_url)]


class OidcSettings(Settings):
    """The provider, and our client registration there."""

    model_config = SettingsConfigDict(env_prefix="AUTH_OIDC_")

    issuer: Url = ""
    """The provider's issuer; its discovery document is `{issuer}/.well-known/openid-configuration`; empty: none."""

    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    """Without a secret the client is public, protected by PKCE alone."""

    scopes: str = "openid email"

    redirect_url: Url = ""
    """Our callback, as registered at the provider; if empty, `/api/v1/auth/oidc/callback` below `AUTH_PUBLIC_URL`."""

    timeout: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Timeout of a call to the provider, in seconds."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.issuer:
            return self
        if not self.client_id:
            raise ValueError("AUTH_OIDC_CLIENT_ID: set it when AUTH_OIDC_ISSUER is set")
        if "openid" not in self.scopes.split():
            raise ValueError("AUTH_OIDC_SCOPES: add openid")
        for name, url in (("ISSUER", self.issuer), ("REDIRECT_URL", self.redirect_url)):
            if self.deployed and url and not url.startswith("https://"):
                raise ValueError(f"AUTH_OIDC_{name}: use https when ENVIRONMENT={self.environment.value}")
        return self
