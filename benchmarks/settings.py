"""Production settings of rendered projects."""

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
"""For every project. Requests are counted, but the rate limit is too high to be reached."""

SECRET = secrets.token_urlsafe(32)
"""Signing key of access tokens, and password of accounts, in this run."""

EMAIL = "benchmark@example.com"
"""Address of the account used for requests."""

FLOOR = {"TOKEN_KEY": SECRET}

EVERY_TRACE = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}
"""All traces; the default in production is one in ten."""


def require_redis() -> None:
    """Check that Redis accepts connections: without it, projects still serve requests, but do less work.

    Raises:
        OSError: it does not.
    """
    place = urlsplit(_redis())
    socket.create_connection((place.hostname, place.port or 6379), timeout=5).close()


def _redis() -> str:
    return os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def every_feature(name: str) -> dict[str, str]:
    """Return settings for any project; different names share no keys in Redis."""
    run = f"benchmark-{os.getpid()}-{name}"
    return SETTINGS | {
        "AUTH_SIGNING_KEYS": SECRET,
        "AUTH_PUBLIC_URL": "https://front.example.com",
        "MAIL_URL": "smtp://127.0.0.1:2525",  # required; no e-mail is sent
        "MAIL_SENDER": "no-reply@example.com",
        "REDIS_URL": _redis(),
        "REDIS_PREFIX": f"{run}:",
        "CELERY_BROKER_URL": _redis(),
        "CELERY_QUEUE": run,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",  # required; no relay runs
        "LLM_MODEL": "ollama:none",  # required; never called
    }


def exporting(endpoint: str) -> dict[str, str]:
    """Return telemetry settings, with or without a collector."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
