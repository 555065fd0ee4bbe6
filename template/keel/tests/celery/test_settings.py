"""Settings of Celery."""

from ssl import CERT_REQUIRED

import pytest
from kombu.utils.url import parse_url
from pydantic import SecretStr

from keel.celery.broker.client import CeleryApp, configuration
from keel.celery.settings import CelerySettings
from keel.settings import SettingsError

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CELERY_BROKER_URL", "kafka://localhost", "write amqp://"),
        ("CELERY_BROKER_URL", "amqp://", "write amqp://"),
        ("CELERY_BROKER_URL", "amqp://a;amqp://", "write amqp://"),
        ("CELERY_BROKER_URL", "amqp://a;redis://b", "need the same scheme"),
        ("CELERY_BROKER_URL", "amqp://me:se;cret@a", "need the same scheme"),
        ("CELERY_SIGNING_KEYS", "short", "secrets.token_urlsafe"),
        ("CELERY_HARD_TIME_LIMIT", "10", "longer than CELERY_SOFT_TIME_LIMIT"),
    ],
)
def test_invalid_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    """The message says what to write instead."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=message):
        CelerySettings.load()


@pytest.mark.parametrize(
    ("url", "hosts"),
    {
        "amqps://[::1];amqps://[::2]:7/vhost;amqps://c?heartbeat=5": ["::1", "::2", "c"],
        "sentinel://:p@[::1]:26379;sentinel://b": ["::1", "b"],
        "AMQP://me:p%3Bq@b/": ["b"],
    }.items(),
)
def test_several_brokers(url: str, hosts: list[str]) -> None:
    """Celery tries them in turn; they may have IPv6 addresses."""
    settings = CelerySettings.model_validate({"broker_url": SecretStr(url)})
    made = configuration(settings)

    with CeleryApp(settings).connection_for_write() as connection:
        assert [parse_url(each)["hostname"] for each in connection.alt or [url]] == hosts
    assert (made.get("broker_use_ssl") == {"cert_reqs": CERT_REQUIRED, "server_hostname": None}) == ("amqps" in url)


@pytest.mark.parametrize("url", ["memory://", "memory://elsewhere"])
def test_broker_is_required_when_deployed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """In staging and production, servers do not run tasks themselves."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("CELERY_BROKER_URL", url)

    with pytest.raises(SettingsError, match="CELERY_BROKER_URL"):
        CelerySettings.load()
