"""Options of connections to the brokers, for aiokafka. Only processes that talk to Kafka import this module."""

import ssl
from typing import Any

from aiokafka.helpers import create_ssl_context

from keel import about
from keel.kafka.settings import KafkaSettings


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options that producers, consumers and administration share.

    Raises:
        OSError: a file of TLS cannot be read, or holds no certificate or key.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "client_id": about.SLUG,
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": round(settings.timeout * 1000),
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    return options


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return a context that verifies the brokers' certificates and their host names."""
    files = {"cafile": settings.tls_ca, "certfile": settings.tls_certificate, "keyfile": settings.tls_key}
    return create_ssl_context(**{name: str(path) for name, path in files.items() if path})
