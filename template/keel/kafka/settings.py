"""Kafka settings: brokers, relay and consumers."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel import about
from keel.settings import CommaSeparated, DevDefault, Settings

NAME = r"^[A-Za-z0-9._-]{1,100}$"
"""Pattern of topic prefixes."""

File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
"""A path, or None if empty."""


class KafkaSettings(Settings):
    """Connection to the brokers, publishing and consuming."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: Annotated[CommaSeparated, DevDefault] = ()
    """Brokers, each `host:port`. If empty, events wait in the outbox, and neither relay nor consumers start."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")

    tls_ca: File = None
    """CA certificates for the brokers, a PEM file; None: the system's."""
    tls_certificate: File = None
    """Client certificate chain, a PEM file, for brokers that require one."""
    tls_key: File = None

    topic_prefix: Annotated[str, Field(pattern=NAME)] = about.SLUG
    """Topics are named `<prefix>.<aggregate>`, consumer groups `<prefix>.<consumer>`."""

    partitions: Annotated[int, Field(ge=1, le=1000)] = 6
    """Partitions of a topic created by `python -m app kafka topics`. Adding more later moves keys to others."""

    replication_factor: Annotated[int, Field(ge=1, le=10)] = 1
    """Replicas of each partition."""

    topic_retention_days: Annotated[float, Field(gt=0)] = 30.0
    """Days that such a topic keeps an event."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"

    timeout: Annotated[float, Field(gt=0)] = 10.0
    """Timeout of a request to a broker, in seconds."""

    session_timeout: Annotated[float, Field(ge=1)] = 10.0
    """Seconds without a heartbeat after which a consumer's partitions are reassigned to another process."""

    max_event_size: Annotated[int, Field(ge=1, le=900_000)] = 65_536
    """Maximum size of an event in bytes. Brokers accept 1 MiB by default."""

    relay_batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Maximum number of events that a relay reads at a time."""

    relay_poll: Annotated[float, Field(gt=0)] = 0.2
    """Seconds between polls of an empty outbox."""

    relay_lease: Annotated[float, Field(gt=0)] = 30.0
    """Seconds after which another relay takes over the shards of a killed one."""

    max_outbox_age: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that an event may wait before `/readyz` reports degraded."""

    max_lag: Annotated[int, Field(ge=1)] = 10_000
    """Events that a consumer may lag behind before `/readyz` reports degraded."""

    consumer_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of events of a partition handled in one transaction."""

    handler_timeout: Annotated[float, Field(gt=0)] = 30.0
    """Timeout of an event's handler, in seconds."""

    max_attempts: Annotated[int, Field(ge=1)] = 5
    """Attempts before an event becomes a dead letter."""

    retry_backoff: Annotated[float, Field(ge=0)] = 1.0
    """Seconds before the second attempt; doubled for each further one."""

    retry_backoff_max: Annotated[float, Field(ge=0)] = 300.0
    """Maximum seconds between two attempts."""

    max_waiting: Annotated[int, Field(ge=1)] = 10_000
    """Events of a consumer that may wait for a retry; above that, the consumer stops reading."""

    retention_days: Annotated[float, Field(gt=0)] = 7.0
    """Days that a published event stays in the outbox."""

    inbox_retention_days: Annotated[float, Field(gt=0)] = 30.0
    """Days that the id of a handled event is remembered; a duplicate delivered later is handled again."""

    @property
    def connected(self) -> bool:
        """Whether any brokers are configured."""
        return bool(self.bootstrap_servers)

    @property
    def max_silence(self) -> float:
        """Seconds without a heartbeat after which a process counts as hung: longer than any single step may take."""
        return max(120.0, 2 * self.handler_timeout, 2 * self.relay_lease)

    def topic(self, aggregate: str) -> str:
        """Return the topic of an aggregate, such as `notes`."""
        return f"{self.topic_prefix}.{aggregate}"

    def group(self, consumer: str) -> str:
        """Return the consumer group of a consumer."""
        return f"{self.topic_prefix}.{consumer}"

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        sasl, tls = self.security_protocol.startswith("SASL"), self.security_protocol.endswith("SSL")
        if sasl and not (self.sasl_username and self.sasl_password.get_secret_value()):
            raise ValueError("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: SASL needs both")
        if not tls and (self.tls_ca or self.tls_certificate or self.tls_key):
            raise ValueError("KAFKA_SECURITY_PROTOCOL: TLS needs SSL or SASL_SSL")
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("KAFKA_TLS_CERTIFICATE and KAFKA_TLS_KEY: set both or none")
        return self
