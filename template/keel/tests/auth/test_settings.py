"""Signing keys: required strength, by environment."""

import pytest

from keel.application import new_app
from keel.auth import plugin
from keel.auth.settings import LOCAL_KEY, AuthSettings
from keel.settings import SettingsError

GOOD = "YSBrZXkgb2YgdGhpcnR5LXR3byBvciBtb3JlIGJ5dGVzIGZvciB0ZXN0cw"

pytestmark = pytest.mark.usefixtures("environment")


def test_local_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine a well-known key is the default."""
    monkeypatch.delenv("AUTH_SIGNING_KEYS")
    monkeypatch.setenv("ENVIRONMENT", "local")

    assert AuthSettings.load().signing_keys[0].get_secret_value() == LOCAL_KEY


@pytest.mark.parametrize("place", ["staging", "production"])
@pytest.mark.parametrize("keys", [None, LOCAL_KEY, f"{GOOD},{LOCAL_KEY}"])
def test_deployed_needs_its_own_key(monkeypatch: pytest.MonkeyPatch, place: str, keys: str | None) -> None:
    """In deployments a missing or well-known key prevents startup; the message explains how to create one."""
    monkeypatch.setenv("ENVIRONMENT", place)
    if keys is None:
        monkeypatch.delenv("AUTH_SIGNING_KEYS")
    else:
        monkeypatch.setenv("AUTH_SIGNING_KEYS", keys)

    with pytest.raises(SettingsError, match=r"AUTH_SIGNING_KEYS: set it .*secrets\.token_urlsafe"):
        AuthSettings.load()


@pytest.mark.parametrize("keys", ["", "short", "c2hvcnQ", "not base64!", f"{GOOD},c2hvcnQ"])
def test_weak_keys(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    """A short or malformed key is refused everywhere, and not shown in the message."""
    monkeypatch.setenv("AUTH_SIGNING_KEYS", keys)

    with pytest.raises(SettingsError, match="AUTH_SIGNING_KEYS: ") as caught:
        AuthSettings.load()

    assert "c2hvcnQ" not in str(caught.value)


def test_deployed_needs_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """In deployments, mail must be configured."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("ALLOWED_HOSTS", "api.example.com")
    monkeypatch.delenv("MAIL_URL")

    with pytest.raises(SettingsError, match="MAIL_URL: set it"):
        plugin.install(new_app())
