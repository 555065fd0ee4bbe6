"""aiokafka's connection options and log filter. Imported only in processes that connect to Kafka."""

import logging
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiokafka.helpers import create_ssl_context

from keel import about
from keel.kafka.settings import KafkaSettings

LINES = 5
"""Maximum number of log lines of a kind per `LOG_SECONDS`: aiokafka writes ninety a second while no broker answers."""

LOG_SECONDS = 60.0

LOGGERS: Sequence[str] = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)


class FewLines(logging.Filter):
    """Lets the first lines of each kind through."""

    def __init__(self) -> None:
        super().__init__()
        self._since = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this is one of the first lines of its kind: same logger and same format string."""
        if time.monotonic() - self._since >= LOG_SECONDS:
            self._since, self._counts = time.monotonic(), Counter()
        kind = record.name, str(record.msg)
        self._counts[kind] += 1
        return self._counts[kind] <= LINES


def bound_log() -> None:
    """Limit aiokafka's log, see `LINES`."""
    few = FewLines()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(few)


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options shared by producers, consumers and the admin client.

    Raises:
        OSError: a TLS file cannot be read, or contains no certificate or key.
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
