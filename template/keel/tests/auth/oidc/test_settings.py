"""Settings of the OpenID provider."""

import pytest

from keel.application import new_app
from keel.auth.oidc.plugin import install as install_oidc
from keel.auth.oidc.settings import OidcSettings
from keel.auth.settings import AuthSettings
from keel.auth.state import make_auth
from keel.services import services_of
from keel.settings import SettingsError

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CLIENT_ID": ""}, "AUTH_OIDC_CLIENT_ID: set it"),
        ({"SCOPES": "email"}, "AUTH_OIDC_SCOPES: add openid"),
        ({"ISSUER": "id.example"}, "AUTH_OIDC_ISSUER: "),
        ({"ISSUER": "https://"}, "AUTH_OIDC_ISSUER: "),
        ({"ISSUER": "https://user@id.example"}, "AUTH_OIDC_ISSUER: "),
        ({"ISSUER": "https://id.example?x=1"}, "AUTH_OIDC_ISSUER: "),
        ({"ISSUER": "file:///etc/passwd"}, "AUTH_OIDC_ISSUER: "),
        ({"REDIRECT_URL": "javascript:alert(1)"}, "AUTH_OIDC_REDIRECT_URL: "),
        ({"TIMEOUT": "0"}, "AUTH_OIDC_TIMEOUT: "),
    ],
)
def test_invalid_settings(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    """The message names the variable."""
    for name, value in {"ISSUER": "https://id.example", "CLIENT_ID": "harbour", **variables}.items():
        monkeypatch.setenv(f"AUTH_OIDC_{name}", value)

    with pytest.raises(SettingsError, match=message):
        OidcSettings.load()


@pytest.mark.parametrize("name", ["ISSUER", "REDIRECT_URL"])
@pytest.mark.parametrize("place", ["staging", "production"])
def test_deployed_needs_https(monkeypatch: pytest.MonkeyPatch, place: str, name: str) -> None:
    """In deployments the issuer must use HTTPS."""
    monkeypatch.setenv("ENVIRONMENT", place)
    monkeypatch.setenv("AUTH_OIDC_ISSUER", "https://id.example")
    monkeypatch.setenv("AUTH_OIDC_CLIENT_ID", "harbour")
    assert OidcSettings.load().deployed
    monkeypatch.setenv(f"AUTH_OIDC_{name}", "http://id.example")

    with pytest.raises(SettingsError, match=f"AUTH_OIDC_{name}: use https"):
        OidcSettings.load()


def test_deployed_page_needs_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """In deployments the page that receives the code must use HTTPS."""
    app = new_app()
    for name, value in {
        "ENVIRONMENT": "production",
        "AUTH_PUBLIC_URL": "http://example.com",
        "AUTH_OIDC_ISSUER": "https://id.example",
        "AUTH_OIDC_CLIENT_ID": "harbour",
    }.items():
        monkeypatch.setenv(name, value)

    services_of(app).auth = make_auth(AuthSettings.load())

    with pytest.raises(SettingsError, match="AUTH_PUBLIC_URL: use https"):
        install_oidc(app)


def test_nothing_is_needed_without_a_provider() -> None:
    """Without a provider, no setting is required."""
    assert OidcSettings.load().issuer == ""


def test_issuer_is_not_normalized(monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer with a trailing slash differs from the one without."""
    monkeypatch.setenv("AUTH_OIDC_CLIENT_ID", "harbour")
    for issuer in ("https://id.example", "https://id.example/"):
        monkeypatch.setenv("AUTH_OIDC_ISSUER", issuer)
        assert OidcSettings.load().issuer == issuer
