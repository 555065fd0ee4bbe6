"""Settings of Celery."""

import pytest

from keel.celery.settings import CelerySettings
from keel.settings import SettingsError

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CELERY_BROKER_URL", "kafka://localhost", "write amqp://"),
        ("CELERY_BROKER_URL", "amqp://", "write amqp://"),
        ("CELERY_SIGNING_KEYS", "short", "secrets.token_urlsafe"),
        ("CELERY_HARD_TIME_LIMIT", "10", "longer than CELERY_SOFT_TIME_LIMIT"),
    ],
)
def test_invalid_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    """The message says what to write instead."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=message):
        CelerySettings.load()


@pytest.mark.parametrize("url", ["memory://", "memory://elsewhere"])
def test_broker_is_required_when_deployed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """In staging and production, servers do not run tasks themselves."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("CELERY_BROKER_URL", url)

    with pytest.raises(SettingsError, match="CELERY_BROKER_URL"):
        CelerySettings.load()
