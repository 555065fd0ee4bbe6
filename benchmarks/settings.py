"""Settings of rendered projects as in production."""

import os
import secrets
import socket
from urllib.parse import urlsplit

SETTINGS = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "RATE_LIMIT": "1000000000/minute",
    "ENV_FILE": "",
}
"""For every rendering. The rate limit is out of reach, and every request still counts."""

SECRET = secrets.token_urlsafe(32)
"""Signs access tokens in this run, and is the password of its accounts."""

EMAIL = "benchmark@example.com"
"""The account that requests are made with."""

FLOOR = {"TOKEN_KEY": SECRET}

EVERY_TRACE = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}
"""Not the default, which is one in ten in production."""


def require_redis() -> None:
    """Make sure that Redis accepts connections: without it projects serve on, with less work to do.

    Raises:
        OSError: it does not.
    """
    place = urlsplit(_redis())
    socket.create_connection((place.hostname, place.port or 6379), timeout=5).close()


def _redis() -> str:
    return os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def every_feature(name: str) -> dict[str, str]:
    """Return settings for any rendering; those with different names share nothing on Redis."""
    run = f"benchmark-{os.getpid()}-{name}"
    return SETTINGS | {
        "AUTH_SIGNING_KEYS": SECRET,
        "AUTH_PUBLIC_URL": "https://front.example.com",
        "MAIL_URL": "smtp://127.0.0.1:2525",  # required; nothing is mailed
        "MAIL_SENDER": "no-reply@example.com",
        "REDIS_URL": _redis(),
        "REDIS_PREFIX": f"{run}:",
        "CELERY_BROKER_URL": _redis(),
        "CELERY_QUEUE": run,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",  # required; no relay runs
        "LLM_MODEL": "ollama:none",  # required; nothing is asked
    }


def exporting(endpoint: str) -> dict[str, str]:
    """Return settings of telemetry for a collector, or for none."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
