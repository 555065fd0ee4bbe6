"""Settings of the provider."""

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
def test_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    """The message names the variable."""
    for name, value in {"ISSUER": "https://id.example", "CLIENT_ID": "harbour", **variables}.items():
        monkeypatch.setenv(f"AUTH_OIDC_{name}", value)

    with pytest.raises(SettingsError, match=message):
        OidcSettings.load()


@pytest.mark.parametrize("name", ["ISSUER", "REDIRECT_URL"])
@pytest.mark.parametrize("place", ["staging", "production"])
def test_deployed_needs_https(monkeypatch: pytest.MonkeyPatch, place: str, name: str) -> None:
    """Elsewhere than on a developer's machine, nothing travels where it can be listened to."""
    monkeypatch.setenv("ENVIRONMENT", place)
    monkeypatch.setenv("AUTH_OIDC_ISSUER", "https://id.example")
    monkeypatch.setenv("AUTH_OIDC_CLIENT_ID", "harbour")
    assert OidcSettings.load().deployed
    monkeypatch.setenv(f"AUTH_OIDC_{name}", "http://id.example")

    with pytest.raises(SettingsError, match=f"AUTH_OIDC_{name}: use https"):
        OidcSettings.load()


def test_deployed_page_needs_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a browser carry its code to a page that can be listened to."""
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
    """A project that does not sign in this way sets nothing."""
    assert OidcSettings.load().issuer == ""


def test_issuer_is_kept_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer that ends with a slash is another than the one that does not."""
    monkeypatch.setenv("AUTH_OIDC_CLIENT_ID", "harbour")
    for issuer in ("https://id.example", "https://id.example/"):
        monkeypatch.setenv("AUTH_OIDC_ISSUER", issuer)
        assert OidcSettings.load().issuer == issuer
