"""Settings of the worker."""

import pytest

from keel.celery.settings import WorkerSettings
from keel.settings import SettingsError

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WORKER_BROKER_URL", "kafka://localhost", "write amqp://"),
        ("WORKER_BROKER_URL", "amqp://", "write amqp://"),
        ("WORKER_SIGNING_KEYS", "short", "secrets.token_urlsafe"),
        ("WORKER_HARD_LIMIT", "10", "longer than WORKER_SOFT_LIMIT"),
    ],
)
def test_wrong_values(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    """The message says what to write instead."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=message):
        WorkerSettings.load()


@pytest.mark.parametrize("url", ["memory://", "memory://elsewhere"])
def test_deployed_needs_a_broker(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A process that may be replaced at any moment does no tasks of its own."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("WORKER_BROKER_URL", url)

    with pytest.raises(SettingsError, match="WORKER_BROKER_URL"):
        WorkerSettings.load()
